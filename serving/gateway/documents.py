"""The JSON body of an answer to `POST /v1/forecast`.

It is put together from pieces of text: arrays are written as a whole and cut apart at their rows, and what series have in
common is written once. A document of objects, one number after another, takes ten times as long.
"""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import orjson

from forecasting.answering.forecasts import ForecastsRecord
from forecasting.answering.served_model import ServedModel


def forecasts_json(found: ForecastsRecord) -> bytes:
    """Forecasts by series, each with where it comes from."""
    served, spec = found.served, found.served.spec
    head = {
        "model": served.name,
        "version": served.version,
        "role": found.role.value,
        "target": spec.target,
        "step_s": spec.step_s,
    }
    skipped = orjson.dumps([asdict(one) for one in found.skipped])
    return b'%b,"forecasts":[%b],"skipped":%b}' % (orjson.dumps(head)[:-1], b",".join(_entries(found)), skipped)


def rows_json(values: npt.NDArray[np.float32]) -> list[bytes]:
    """Each row of `[N,H]` as a JSON list."""
    if not values.shape[1]:
        return [b"[]"] * len(values)
    text = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)
    return [b"[%b]" % row for row in text[2:-2].split(b"],[")]


def times_json(found: ForecastsRecord) -> list[tuple[bytes, bytes]]:
    """First step and steps of each forecast as JSON; those of one origin are written once."""
    written = {origin: _times_of(found.served, origin) for origin in set(found.origins.tolist())}
    return [written[origin] for origin in found.origins.tolist()]


def _times_of(served: ServedModel, origin: int) -> tuple[bytes, bytes]:
    def write() -> tuple[bytes, bytes]:
        steps = origin + served.spec.step_s * np.arange(served.spec.horizon, dtype=np.int64)
        stamps = np.datetime_as_string(steps.astype("datetime64[s]"), timezone="UTC")
        return orjson.dumps(str(stamps[0])), orjson.dumps(stamps.tolist())

    return served.written_times.get(origin, write)


def _entries(found: ForecastsRecord) -> Sequence[bytes]:
    columns = {name: rows_json(values) for name, values in found.columns().items()}
    quantiles = [(orjson.dumps(name[1:]), rows) for name, rows in columns.items() if name.startswith("q")]
    values = [b'"quantiles":{%b}' % b",".join(b"%b:%b" % pair for pair in zip([name for name, _ in quantiles], row, strict=True)) for row in zip(*(rows for _, rows in quantiles), strict=True)]  # fmt: skip
    if "mean" in columns:
        values = [b'"mean":%b,%b' % pair for pair in zip(columns["mean"], values, strict=True)]
    times = times_json(found)
    flags = zip(found.imputed.tolist(), found.stale.tolist(), strict=True)
    word = {True: b"true", False: b"false"}
    return [
        b'{"series":%b,"origin":%b,"limited_by":%b,"degraded":%b,"reason":%b,"imputed":%b,"stale":%b,"timestamps":%b,"point":%b,%b}'
        % (
            orjson.dumps(one), times[i][0], _text(found.limited_by.get(i)), word[i in found.degraded], _reason(found, i),
            word[imputed], word[stale], times[i][1], columns["point"][i], values[i],
        )
        for i, (one, (imputed, stale)) in enumerate(zip(found.ids, flags, strict=True))
    ]  # fmt: skip


def _reason(found: ForecastsRecord, place: int) -> bytes:
    why = found.degraded.get(place)
    return _text(None if why is None else why.reason)


def _text(value: str | None) -> bytes:
    return b"null" if value is None else orjson.dumps(value)
