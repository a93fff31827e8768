"""`almanac forecast --batch`."""

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from forecasting.config import AlmanacConfig
from forecasting.config.root import forecast_batch_settings
from forecasting.contracts.codes import ExitCode
from forecasting.contracts.layout import home_layout
from forecasting.errors import ConfigError

if TYPE_CHECKING:
    from components.batch.make_batch import BatchRecord

MAX_SKIPPED = 3
"""Skipped series of which a line is written at most."""
_OF_GATEWAY = ("series", "origin", "known", "out", "endpoint")


def forecast_all(arguments: argparse.Namespace, config: AlmanacConfig) -> int:
    """Forecast every series from one cutoff without a gateway; what was written goes to stderr, or to stdout as JSON.

    Raises:
        ConfigError: There are options that are a gateway's, or see `components.batch.forecast_batch`.
    """
    from components.batch.forecast_batch import forecast_batch, placed

    if wrong := [f"--{name}" for name in _OF_GATEWAY if getattr(arguments, name)]:
        raise ConfigError(f"--batch forecasts every series without a gateway: leave out {', '.join(wrong)}")
    home = home_layout()
    to = arguments.batch or (config.batch.to and placed(config.batch.to, home))
    if not to:
        raise ConfigError("--batch must say where to: --batch FOLDER|URL, or batch.to in the configuration")
    settings = forecast_batch_settings(config)
    found = forecast_batch(settings, home, to, cutoff=arguments.cutoff, version=arguments.version)
    _tell(found, as_json=arguments.json)
    return int(ExitCode.DONE)


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
