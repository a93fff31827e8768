"""`almanac forecast --batch`."""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from forecasting.config import AlmanacConfig
from forecasting.contracts.codes import ExitCode
from forecasting.contracts.layout import home_layout
from forecasting.cutoffs import parse_cutoff
from forecasting.errors import ConfigError
from forecasting.repository import ModelRepository

if TYPE_CHECKING:
    from serving.batch.batch_table import BatchPlace
    from serving.batch.forecast_batch import BatchRecord

MAX_SKIPPED = 3
"""Skipped series of which a line is written at most."""
_OF_GATEWAY = ("series", "origin", "known", "out", "endpoint")


def forecast_all(arguments: argparse.Namespace, config: AlmanacConfig) -> int:
    """Forecast every series from one cutoff without a gateway; what was written goes to stderr, or to stdout as JSON.

    Raises:
        ConfigError: There are options that are a gateway's, or see `serving.batch.forecast_batch`.
    """
    from forecasting.store.address import store_address
    from serving.batch.forecast_batch import forecast_batch

    if wrong := [f"--{name}" for name in _OF_GATEWAY if getattr(arguments, name)]:
        raise ConfigError(f"--batch forecasts every series without a gateway: leave out {', '.join(wrong)}")
    cutoff = parse_cutoff(arguments.cutoff, "--cutoff").timestamp() if arguments.cutoff else None
    if cutoff is not None and cutoff % 1:
        raise ConfigError(f"--cutoff must be a whole second, found {arguments.cutoff!r}")
    home = home_layout()
    store = store_address(config.store.url, home.serving_database)
    # A file that nobody has written has no observations, and is not made for that.
    has_store = store.file is None or store.file.is_file()
    with _place(arguments.batch) as place:
        found = forecast_batch(
            ModelRepository(home.models), config.name, place,
            version=arguments.version, cutoff=None if cutoff is None else int(cutoff),
            store=store if has_store else None, fallback=config.serving.fallback,
        )  # fmt: skip
    _tell(found, as_json=arguments.json)
    return int(ExitCode.DONE)


@contextmanager
def _place(text: str) -> Iterator["BatchPlace"]:
    if "://" not in text:
        from serving.batch.parquet_folder import ParquetFolder

        yield ParquetFolder(Path(text))
        return
    from forecasting.store.address import store_address
    from serving.batch.sql_table import SqlTable

    table = SqlTable(store_address(text, Path(), setting="--batch"))
    try:
        yield table
    finally:
        table.close()


def _tell(found: "BatchRecord", *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(found), indent=1))
        return
    what = f"version {found.version} from {found.cutoff}"
    if not found.is_new:
        print(f"{what} is in {found.place} already; nothing is written", file=sys.stderr)
        return
    for reason in found.skipped[:MAX_SKIPPED]:
        print(f"skipped: {reason}", file=sys.stderr)
    if (n_more := len(found.skipped) - MAX_SKIPPED) > 0:
        print(f"and {n_more} more skipped series", file=sys.stderr)
    counts = f"{found.n_series} series, {found.n_degraded} of them degraded"
    print(f"wrote {found.place}: {counts}, {what}", file=sys.stderr)
