"""`almanac store`."""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from forecasting.config import AlmanacConfig, load_config
from forecasting.contracts.codes import ExitCode
from forecasting.contracts.layout import home_layout
from forecasting.durations import duration_s
from forecasting.errors import ConfigError
from forecasting.formats import as_bytes
from forecasting.store.address import StoreAddress, store_address
from forecasting.store.backup import back_up, restore
from forecasting.store.opening import HEAD, Store, migrate, open_store, store_engine, store_version
from forecasting.store.retention import prune


def back_up_store(arguments: argparse.Namespace) -> int:
    """Copy the store to a file."""
    with open_store(_existing(arguments)) as store:
        n_bytes = back_up(store, Path(arguments.out), force=arguments.force)
        print(f"{store.address.shown} is in {arguments.out} ({as_bytes(n_bytes)})")
    return int(ExitCode.DONE)


def restore_store(arguments: argparse.Namespace) -> int:
    """Fill the store from a file."""
    address = _address(_config(arguments))
    restore(address, Path(arguments.backup), force=arguments.force)
    print(f"{address.shown} is what {arguments.backup} was")
    return int(ExitCode.DONE)


def prune_store(arguments: argparse.Namespace) -> int:
    """Remove what `store.keep_forecasts` and `store.keep_observations` leave no room for."""
    keep = _config(arguments).store
    with open_store(_existing(arguments)) as store:
        report = prune(
            store,
            keep_forecasts_s=None if keep.keep_forecasts is None else duration_s(keep.keep_forecasts),
            keep_observations_s=None if keep.keep_observations is None else duration_s(keep.keep_observations),
            now=int(time.time()),
        )
    if arguments.json:
        print(json.dumps(asdict(report), indent=1))
        return int(ExitCode.DONE)
    for name, n_rows in report.rows.items():
        print(f"{n_rows} rows of {name}")
    for name in report.partitions:
        print(f"partition {name}")
    n_removed = sum(report.rows.values())
    print(f"removed {n_removed} rows and {len(report.partitions)} partitions", file=sys.stderr)
    return int(ExitCode.DONE)


def upgrade_store(arguments: argparse.Namespace) -> int:
    """Bring the tables to the newest version, or another."""
    address, wanted = _existing(arguments), arguments.to or HEAD
    with Store(store_engine(address), address) as store:
        before = store_version(store)
        migrate(store, wanted)
        print(f"{address.shown} is of version {wanted}; it was {before or 'without tables'}")
    return int(ExitCode.DONE)


def _config(arguments: argparse.Namespace) -> AlmanacConfig:
    return load_config(Path(arguments.config), arguments.overrides)


def _address(config: AlmanacConfig) -> StoreAddress:
    return store_address(config.store.url, home_layout().serving_database)


def _existing(arguments: argparse.Namespace) -> StoreAddress:
    address = _address(_config(arguments))
    if address.file is not None and not address.file.is_file():
        raise ConfigError(f"there must be a store at {address.shown}, and there is none; `almanac serve` makes one")
    return address
