"""`almanac monitor`."""

import argparse
from pathlib import Path

from forecasting.config import load_config
from forecasting.contracts.layout import home_layout
from serving.monitor.run import monitor_once, monitor_until_stopped


def monitor(arguments: argparse.Namespace) -> int:
    """Score forecasts and measure drift until SIGTERM, or once over all that the store has."""
    config, home = load_config(Path(arguments.config), arguments.overrides), home_layout()
    if arguments.once:
        return monitor_once(config, home, as_json=arguments.json)
    return monitor_until_stopped(config, home)
