"""`almanac retrain`."""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

from forecasting.command_word import command_word
from forecasting.config import AlmanacConfig, load_config
from forecasting.contracts.codes import ExitCode
from forecasting.contracts.layout import home_layout
from forecasting.durations import duration_s
from forecasting.errors import ConfigError
from forecasting.store.address import store_address
from forecasting.store.opening import Store, open_store
from forecasting.store.retrain_asking import (
    AskedOutcome,
    AskingLimitsSpec,
    RequestSource,
    RetrainReasonSpec,
    ask_for_retraining,
)
from forecasting.store.retrain_requests import RetrainRequestRecord, retrain_requests
from pipelines.records import moment, table

MAX_REASON = 500
LISTED = 20


def retrain(arguments: argparse.Namespace) -> int:
    """Write a request by hand, or list those that there are."""
    config = load_config(Path(arguments.config), arguments.overrides)
    with open_store(store_address(config.store.url, home_layout().serving_database)) as store:
        if arguments.listed:
            _list(retrain_requests(store, model=config.name, limit=LISTED), as_json=arguments.json)
        else:
            _ask(store, config, arguments.reason, as_json=arguments.json)
    return int(ExitCode.DONE)


def _ask(store: Store, config: AlmanacConfig, reason: str, *, as_json: bool) -> None:
    if not 0 < len(reason) <= MAX_REASON or not reason.isprintable():
        raise ConfigError(f"--reason must be one line of 1 to {MAX_REASON} characters, found {reason!r}")
    asked = RetrainReasonSpec(model=config.name, source=RequestSource.HAND, reason=reason, dedup_key="hand")
    limits = AskingLimitsSpec(duration_s(config.retraining.cooldown), config.retraining.max_per_day)
    found = ask_for_retraining(store, asked, limits, now=int(time.time()))
    number = None if found.request is None else found.request.id
    if as_json:
        print(json.dumps({"outcome": found.outcome.value, "request": number, "why": found.why}))
    elif found.outcome == AskedOutcome.MADE:
        print(f"request {number} waits for `{command_word()} worker`")
    else:
        print(f"nothing is asked for: {found.why}")


def _list(requests: list[RetrainRequestRecord], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([asdict(one) for one in requests], indent=1))
        return
    rows = [("request", "asked", "by", "state", "run", "what came of it", "why")]
    for one in requests:
        asked = moment(one.created_at)
        rows.append((str(one.id), asked, one.source, one.state.value, one.run or "", one.detail or "", one.reason))
    print("\n".join(table(rows)) if requests else "no request yet")
