"""Requests for forecasts, from Python's values and from tables."""

import io
import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from forecasting.errors import ConfigError
from serving.client.exchange import CallSpec
from serving.client.forecasts import ARROW

if TYPE_CHECKING:
    import pandas as pd

    Rows: TypeAlias = pd.DataFrame | pa.Table | Mapping[str, Any]
    """History: a table in long form, or a mapping as in JSON."""

PATH, OBSERVATIONS_PATH = "/v1/forecast", "/v1/observations"
Moment = str | datetime
JSON = "application/json"


def forecast_call(
    series: Sequence[str] | None, rows: "Rows | None", *, origin: Moment | None = None, cutoff: Moment | None = None,
    quantiles: Sequence[float] | None = None, known: Mapping[str, Any] | None = None,
    static: Mapping[str, Any] | None = None, fallback: bool | None = None, model: str | int | None = None,
    accept: str = ARROW,
) -> CallSpec:  # fmt: skip
    """A request; as Arrow where the history is a table.

    Raises:
        ConfigError: Something that a table says by its rows is given beside it, or a time has no zone.
    """
    options = {
        "origin": _moment(origin, "origin"),
        "cutoff": _moment(cutoff, "cutoff"),
        "fallback": fallback,
        "model": model,
    }
    if rows is None or isinstance(rows, Mapping):
        body = {
            "series": None if series is None else list(series),
            "quantiles": None if quantiles is None else [float(level) for level in quantiles],
            "history": rows, "known": known, "static": static, **options,
        }  # fmt: skip
        text = json.dumps({name: value for name, value in body.items() if value is not None})
        return CallSpec("POST", PATH, text.encode(), {"content-type": JSON, "accept": accept})
    if series is not None or known is not None or static is not None:
        raise ConfigError("series, known and static must not be given beside a table, whose rows and columns say them")
    query = [(name, str(value).lower() if name == "fallback" else str(value)) for name, value in options.items() if value is not None]  # fmt: skip
    query += [("quantile", repr(float(level))) for level in quantiles or ()]
    return CallSpec("POST", PATH, _stream(_table(rows)), {"content-type": ARROW, "accept": accept}, tuple(query))


def observations_call(rows: "Rows", *, known_at: Moment | None = None, idempotency_key: str | None = None) -> CallSpec:
    """A post of observations; as Arrow where they are a table.

    Args:
        rows: What was observed.
        known_at: Since when it is known; none: the time of receipt.
        idempotency_key: Under which the gateway takes them once; none: one of this call, for its retries.

    Raises:
        ConfigError: The time has no zone.
    """
    headers = {"accept": JSON, "idempotency-key": idempotency_key or uuid.uuid4().hex}
    moment = _moment(known_at, "known_at")
    if isinstance(rows, Mapping):
        body = json.dumps({"observations": rows, "known_at": moment})
        return CallSpec("POST", OBSERVATIONS_PATH, body.encode(), {"content-type": JSON, **headers})
    query = () if moment is None else (("known_at", moment),)
    return CallSpec("POST", OBSERVATIONS_PATH, _stream(_table(rows)), {"content-type": ARROW, **headers}, query)


def _moment(value: Moment | None, name: str) -> str | None:
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ConfigError(f"{name} must have a time zone, found {value.isoformat()}")
    return value.isoformat()


def _table(rows: "pd.DataFrame | pa.Table") -> pa.Table:
    if isinstance(rows, pa.Table):
        return rows
    # A data frame of pandas, which is not imported here: whoever has one has imported it.
    return pa.Table.from_pandas(rows, preserve_index=False)


def _stream(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()
