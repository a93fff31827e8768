"""The JSON body of an answer to `POST /v1/forecast`.

It is put together from pieces of text: arrays are written as a whole and cut apart at their rows, and what series have in
common is written once. A document of objects, one number after another, takes ten times as long.
"""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import orjson

from serving.gateway.forecasts import ForecastsRecord


def forecasts_json(found: ForecastsRecord) -> bytes:
    """Forecasts by series, each with where it comes from."""
    served, spec = found.served, found.served.spec
    head = {"model": served.name, "version": served.version, "target": spec.target, "step_s": spec.step_s}
    skipped = orjson.dumps([asdict(one) for one in found.skipped])
    return b'%b,"forecasts":[%b],"skipped":%b}' % (orjson.dumps(head)[:-1], b",".join(_entries(found)), skipped)


def rows_json(values: npt.NDArray[np.float32]) -> list[bytes]:
    """Each row of `[N,H]` as a JSON list."""
    if not values.shape[1]:
        return [b"[]"] * len(values)
    text = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)
    return [b"[%b]" % row for row in text[2:-2].split(b"],[")]


def times_json(found: ForecastsRecord) -> tuple[list[bytes], list[bytes]]:
    """First step and steps of each forecast as JSON; those of one origin are written once."""
    origins, which = np.unique(found.origins, return_inverse=True)
    steps = found.served.spec.step_s * np.arange(found.served.spec.horizon, dtype=np.int64)
    stamps = np.datetime_as_string((origins[:, None] + steps).astype("datetime64[s]"), timezone="UTC")
    written = [(orjson.dumps(str(row[0])), orjson.dumps(row.tolist())) for row in stamps]
    pairs = [written[i] for i in which.tolist()]
    return [first for first, _ in pairs], [rest for _, rest in pairs]


def _entries(found: ForecastsRecord) -> Sequence[bytes]:
    columns = {name: rows_json(values) for name, values in found.columns().items()}
    quantiles = [(orjson.dumps(name[1:]), rows) for name, rows in columns.items() if name.startswith("q")]
    values = [b'"quantiles":{%b}' % b",".join(b"%b:%b" % pair for pair in zip([name for name, _ in quantiles], row, strict=True)) for row in zip(*(rows for _, rows in quantiles), strict=True)]  # fmt: skip
    if "mean" in columns:
        values = [b'"mean":%b,%b' % pair for pair in zip(columns["mean"], values, strict=True)]
    origins, stamps = times_json(found)
    flags = zip(found.imputed.tolist(), found.stale.tolist(), strict=True)
    word = {True: b"true", False: b"false"}
    return [
        b'{"series":%b,"origin":%b,"limited_by":%b,"degraded":%b,"reason":%b,"imputed":%b,"stale":%b,"timestamps":%b,"point":%b,%b}'
        % (
            orjson.dumps(one), origins[i], _text(found.limited_by.get(i)), word[i in found.degraded], _reason(found, i),
            word[imputed], word[stale], stamps[i], columns["point"][i], values[i],
        )
        for i, (one, (imputed, stale)) in enumerate(zip(found.ids, flags, strict=True))
    ]  # fmt: skip


def _reason(found: ForecastsRecord, place: int) -> bytes:
    why = found.degraded.get(place)
    return _text(None if why is None else why.reason)


def _text(value: str | None) -> bytes:
    return b"null" if value is None else orjson.dumps(value)
