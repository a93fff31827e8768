"""Writes every file that is made from this package: `python -m infra.monitoring`."""

import sys
from pathlib import Path

from infra.monitoring.written import written_files

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Write every file."""
    for path, text in written_files().items():
        target = ROOT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
