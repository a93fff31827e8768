"""Requests and answers as Arrow IPC streams: one table in long form each way, and no Python step a value."""

from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from serving.gateway.answers import AnswerError
from serving.gateway.forecasts import ForecastsRecord
from serving.gateway.given import GivenRows

ARROW = "application/vnd.apache.arrow.stream"
SERIES, TIMESTAMP = "series", "timestamp"
MAX_GROWTH = 32
"""How much larger than the body the table in it may be: buffers may be compressed."""
_SECONDS = pa.timestamp("s", tz="UTC")

Floats = npt.NDArray[np.float64]


def read_rows(body: bytes) -> tuple[tuple[str, ...], GivenRows | None]:
    """Series and rows of a request.

    The table has a column `series`; with rows of history also `timestamp` (with a zone) and one column a value, by name;
    text columns are static ones. Rows at or after the origin give known covariates of the horizon. A null gives nothing.

    Returns:
        Ids in order of their first row, and the rows; none where there is no other column than `series`.

    Raises:
        AnswerError: 400, naming column and place.
    """
    found = _table(body)
    if SERIES not in found.column_names or not found.num_rows:
        raise AnswerError(400, f"the table must have a column {SERIES!r} and a row, found {found.column_names} and {found.num_rows} rows")  # fmt: skip
    ids, codes = _ids(found.column(SERIES))
    names = [name for name in found.column_names if name not in (SERIES, TIMESTAMP)]
    if len(set(found.column_names)) != len(found.column_names):
        raise AnswerError(400, f"the table must name each column once, found {found.column_names}")
    if TIMESTAMP not in found.column_names:
        if names:
            raise AnswerError(400, f"a table with the columns {names} must have a column {TIMESTAMP!r} too")
        return ids, None
    texts = [name for name in names if _is_text(found.schema.field(name).type)]
    columns = {name: _numbers(found.column(name), name, ids, codes) for name in names if name not in texts}
    static = _static({name: found.column(name) for name in texts}, ids, codes)
    return ids, GivenRows(ids, codes, _times(found.column(TIMESTAMP), ids, codes), columns, static)


def forecasts_arrow(found: ForecastsRecord) -> bytes:
    """Body of an answer; see `forecasts_table`."""
    table = forecasts_table(found)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    body: bytes = sink.getvalue().to_pybytes()
    return body


def forecasts_table(found: ForecastsRecord) -> pa.Table:
    """Forecasts in long form: one row a series and step; what holds for all is in the metadata of the schema."""
    served, n_steps = found.served, found.served.spec.horizon
    each = np.repeat(np.arange(len(found)), n_steps)
    places, flags = range(len(found)), {"imputed": found.imputed, "stale": found.stale}
    degraded = np.array([i in found.degraded for i in places], dtype=np.bool_)
    reasons = [found.degraded[i].reason if i in found.degraded else None for i in places]
    limits = [found.limited_by.get(i) for i in places]
    columns = {
        SERIES: pa.DictionaryArray.from_arrays(pa.array(each, pa.int32()), pa.array(found.ids, pa.string())),
        TIMESTAMP: pa.array(found.times().ravel()).cast(_SECONDS),
        **{name: pa.array(np.ascontiguousarray(values).ravel()) for name, values in found.columns().items()},
        "origin": pa.array(found.origins[each]).cast(_SECONDS),
        "degraded": pa.array(degraded[each]),
        **{name: pa.array(values[each]) for name, values in flags.items()},
        "reason": pa.array(reasons, pa.string()).dictionary_encode().take(pa.array(each)),
        "limited_by": pa.array(limits, pa.string()).dictionary_encode().take(pa.array(each)),
    }
    spec = served.spec
    about = {"model": served.name, "version": str(served.version), "target": spec.target, "step_s": str(spec.step_s)}
    about["role"] = found.role.value
    about["skipped"] = orjson.dumps([asdict(one) for one in found.skipped]).decode()
    return pa.table(columns).replace_schema_metadata(about)


def _table(body: bytes) -> pa.Table:
    batches, n_bytes = [], 0
    try:
        with pa.ipc.open_stream(body) as reader:
            for batch in reader:
                batch.validate(full=True)
                n_bytes += batch.nbytes
                if n_bytes > MAX_GROWTH * max(len(body), 2**16):
                    raise AnswerError(413, f"the table must not be more than {MAX_GROWTH} times as large as the body")
                batches.append(batch)
            return pa.Table.from_batches(batches, reader.schema).unify_dictionaries()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise AnswerError(400, f"the body must be an Arrow IPC stream: {error}") from error


def _ids(column: pa.ChunkedArray) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not _is_text(kind) or column.null_count:
        found = f"{column.type} with {column.null_count} nulls"
        raise AnswerError(400, f"the column {SERIES!r} must be text without nulls, found {found}", column=SERIES)
    encoded = pc.dictionary_encode(column.cast(pa.string())).combine_chunks()
    return tuple(encoded.dictionary.to_pylist()), encoded.indices.to_numpy().astype(np.int64)


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _times(column: pa.ChunkedArray, ids: tuple[str, ...], codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    if not pa.types.is_timestamp(column.type) or column.type.tz is None:
        text = f"the column {TIMESTAMP!r} must be times with a zone, found {column.type}"
        raise AnswerError(400, text, column=TIMESTAMP)
    _require(column.is_valid(), TIMESTAMP, ids, codes, "must not be null", found=lambda _: "null")
    try:
        seconds: npt.NDArray[np.int64] = column.cast(_SECONDS).cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid as error:
        raise AnswerError(
            400, f"the column {TIMESTAMP!r} must have whole seconds: {error}", column=TIMESTAMP
        ) from error
    return seconds


def _numbers(column: pa.ChunkedArray, name: str, ids: tuple[str, ...], codes: npt.NDArray[np.int64]) -> Floats:
    kind = column.type
    if not (
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind)
    ):
        raise AnswerError(400, f"the column {name!r} must be numbers, found {kind}", column=name)
    floats = column.cast(pa.float64(), safe=False)
    values: Floats = floats.to_numpy(zero_copy_only=False)
    fits = np.isfinite(values) | ~floats.is_valid().to_numpy(zero_copy_only=False)
    _require(fits, name, ids, codes, "must have finite numbers, null where nothing is given", found=lambda row: str(values[row]))  # fmt: skip
    return values


def _require(
    holds: npt.NDArray[np.bool_] | pa.ChunkedArray, name: str, ids: tuple[str, ...], codes: npt.NDArray[np.int64],
    rule: str, *, found: Callable[[int], str],
) -> None:  # fmt: skip
    flags = np.asarray(holds)
    if flags.all():
        return
    row = int(np.argmin(flags))
    text = f"the column {name!r} {rule}, found {found(row)} in row {row}, of series {ids[codes[row]]!r}"
    raise AnswerError(400, text, series=ids[codes[row]], column=name, place=str(row))


def _static(
    columns: dict[str, pa.ChunkedArray], ids: tuple[str, ...], codes: npt.NDArray[np.int64]
) -> dict[str, dict[str, str]]:
    """Categories of each series, from its first row."""
    if not columns:
        return {}
    _, first = np.unique(codes, return_index=True)
    values = {name: column.cast(pa.string()).take(pa.array(first)).to_pylist() for name, column in columns.items()}
    return {
        one: {name: found[i] for name, found in values.items() if found[i] is not None} for i, one in enumerate(ids)
    }
