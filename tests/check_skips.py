"""Fail when a test was skipped for a reason that is not on the written list.

usage: check_skips.py REPORT.xml ...

`tests/allowed_skips.txt` holds one line a reason: how the skip message begins. Lines that start
with # are comments.
"""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

ALLOWED = Path(__file__).with_name("allowed_skips.txt")


def skipped_tests(report: Path) -> list[tuple[str, str]]:
    """Name and reason of every skipped test in a JUnit report."""
    return [
        (f"{case.get('classname')}::{case.get('name')}", skip.get("message") or "")
        for case in ET.parse(report).iter("testcase")
        for skip in case.findall("skipped")
    ]


def main(reports: list[str]) -> int:
    """Print every skip; 1 when one is not allowed."""
    allowed = [
        line.strip()
        for line in ALLOWED.read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.startswith("#")
    ]
    refused = 0
    for report in reports:
        for name, reason in skipped_tests(Path(report)):
            known = any(reason.startswith(start) for start in allowed)
            refused += not known
            print(f"{'skipped' if known else 'NOT ALLOWED'}: {name}: {reason}")
    print(f"{refused} skips that are not in {ALLOWED.name}")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
