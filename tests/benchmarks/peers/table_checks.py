"""The checks of a table as one writes them by hand: sort, duplicates, gaps, missing values, ranges; read as a whole.

Run as a script with the name of the library and the table. It writes the sorted table beside it, as the step does.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

STEP_S = 3_600
LOW, HIGH = 0.0, 1_000.0


def with_pandas(path: Path) -> dict[str, int]:
    """Check with pandas."""
    import pandas as pd

    table = pd.read_parquet(path).sort_values(["site", "time"], kind="stable", ignore_index=True)
    repeats = table.duplicated(["site", "time"])
    equal = table.duplicated()
    table = table[~repeats]
    steps = table.groupby("site", observed=True)["time"].diff().dt.total_seconds()
    missing = table.groupby("site", observed=True)["load"].apply(lambda values: values.isna().mean())
    found = {
        "n_rows": len(table),
        "n_equal": int(equal.sum()),
        "n_differing": int((repeats & ~equal).sum()),
        "n_gaps": int((steps > STEP_S).sum()),
        "n_off_grid": int((steps % STEP_S != 0).sum() - steps.isna().sum()),
        "n_missing_series": int((missing > 0.1).sum()),
        "n_out_of_range": int((~table["load"].dropna().between(LOW, HIGH)).sum()),
    }
    table.to_parquet(path.with_name("pandas.parquet"))
    return found


def with_polars(path: Path) -> dict[str, int]:
    """Check with polars."""
    import polars as pl

    table = pl.read_parquet(path).sort("site", "time", maintain_order=True)
    n_before, n_different = len(table), len(table.unique())
    table = table.unique(["site", "time"], keep="first", maintain_order=True)
    steps = table.select(pl.col("time").diff().over("site").dt.total_seconds())["time"]
    missing = table.group_by("site").agg(pl.col("load").is_null().mean())["load"]
    found = {
        "n_rows": len(table),
        "n_equal": n_before - n_different,
        "n_differing": n_different - len(table),
        "n_gaps": int((steps > STEP_S).sum()),
        "n_off_grid": int((steps % STEP_S != 0).sum()),
        "n_missing_series": int((missing > 0.1).sum()),
        "n_out_of_range": int((~table["load"].drop_nulls().is_between(LOW, HIGH)).sum()),
    }
    table.write_parquet(path.with_name("polars.parquet"))
    return found


def main() -> None:
    """Check a table and print the figures."""
    name, path = sys.argv[1], Path(sys.argv[2])
    check = {"pandas": with_pandas, "polars": with_polars}[name]
    began, began_cpu = time.monotonic(), time.process_time()
    found: dict[str, Any] = dict(check(path))
    n_rows = found.pop("n_rows")
    print(json.dumps({
        "n_rows": n_rows, "wall_s": time.monotonic() - began, "cpu_s": time.process_time() - began_cpu,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024, "found": found,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
