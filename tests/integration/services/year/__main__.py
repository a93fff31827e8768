"""`make year`: live the year with the change and the year without it, and draw both.

python -m tests.integration.services.year --out build/year
"""

import argparse
import json
import logging
import sys
from pathlib import Path

from tests.integration.services.year.demand import TABLE
from tests.integration.services.year.picture import draw_years
from tests.integration.services.year.two_years import figures, live_two_years


def main() -> int:
    """Live, write `shifted.json`, `control.json`, `figures.json` and `year.png`; 1 where the table is not there."""
    parser = argparse.ArgumentParser(description="A year in fast time, with and without a change of the demand.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; it must not exist")
    out: Path = parser.parse_args().out.resolve()
    if not TABLE.is_file():
        sys.stderr.write(
            f"year: {TABLE} must be there: the half-hourly demand of Victoria (Time, Demand, Temperature, Holiday)\n"
        )
        return 1
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("tests").setLevel(logging.INFO)
    out.mkdir(parents=True)
    found = live_two_years(out)
    draw_years(found.shifted, found.control, found.change, out / "year.png")
    text = json.dumps(figures(found), indent=1)
    (out / "figures.json").write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
