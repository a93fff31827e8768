"""Requests and answers as Arrow IPC streams: one table in long form each way, and no Python step a value."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.forecasts import ForecastsRecord
from forecasting.answering.forecasts_table import SERIES, TIMESTAMP, forecasts_table
from forecasting.answering.given import GivenRows
from serving.gateway.arrow_sizes import decoded_bytes

ARROW = "application/vnd.apache.arrow.stream"

MAX_GROWTH, MAX_GROWN_BYTES = 32, 2**28
"""How much larger than the body the table in it may be, and how large it may grow: buffers may be compressed."""
MAX_TEXT_BYTES = 1024
"""Longest id, and longest category."""
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


def _table(body: bytes) -> pa.Table:
    limit, batches, n_bytes = max(len(body), min(MAX_GROWTH * max(len(body), 2**16), MAX_GROWN_BYTES)), [], 0
    try:
        # Asked before anything is decompressed: afterwards the memory is taken.
        if decoded_bytes(body) > limit:
            raise _too_large()
        with pa.ipc.open_stream(body) as reader:
            for batch in reader:
                batch.validate(full=True)
                n_bytes += batch.nbytes
                if n_bytes > limit:
                    raise _too_large()
                batches.append(batch)
            found = pa.Table.from_batches(batches, reader.schema).unify_dictionaries()
            # Names and zones are decoded here, where a wrong one is still no stream.
            _ = [kind.tz for kind in found.schema.types if pa.types.is_timestamp(kind)]
            return found.rename_columns(list(found.column_names))
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        raise AnswerError(400, f"the body must be an Arrow IPC stream: {error}") from error


def _too_large() -> AnswerError:
    text = f"the table must not be more than {MAX_GROWTH} times as large as the body, nor grow beyond {MAX_GROWN_BYTES} bytes"
    return AnswerError(413, text)


def _ids(column: pa.ChunkedArray) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not _is_text(kind) or column.null_count:
        found = f"{column.type} with {column.null_count} nulls"
        raise AnswerError(400, f"the column {SERIES!r} must be text without nulls, found {found}", column=SERIES)
    texts, codes = _distinct(column, SERIES)
    places: dict[str, int] = {}
    for text in texts[:-1]:
        if text is None:
            raise AnswerError(400, f"the column {SERIES!r} must be text without nulls, found one", column=SERIES)
        places.setdefault(text, len(places))
    if len(places) < len(texts) - 1:
        # A dictionary may name a text twice.
        codes = np.array([places[text] for text in texts[:-1] if text is not None], dtype=np.int64)[codes]
    return tuple(places), codes


def _distinct(column: pa.ChunkedArray, name: str) -> tuple[list[str | None], npt.NDArray[np.int64]]:
    """Texts of a column in order of their first row, and none at the end; and whose each row is `[R]`.

    Rows are never written out: a small body may point at one long text many thousand times.
    """
    if pa.types.is_dictionary(column.type):
        dictionary = _short(column.chunk(0).dictionary, name)
        places = pc.dictionary_encode(pa.chunked_array([chunk.indices for chunk in column.chunks])).combine_chunks()
        texts = dictionary.take(places.dictionary).to_pylist()
    else:
        chunks = [_short(chunk, name) for chunk in column.chunks]
        places = pc.dictionary_encode(pa.chunked_array(chunks)).combine_chunks()
        texts = places.dictionary.to_pylist()
    codes: npt.NDArray[np.int64] = places.indices.cast(pa.int64()).fill_null(-1).to_numpy()
    return [*texts, None], codes


def _short(texts: pa.Array, name: str) -> pa.Array:
    """The texts, where none is too long."""
    is_view = pa.types.is_string_view(texts.type)
    if is_view:
        # A view of 16 bytes begins with the length of its text; views may share one.
        views = np.frombuffer(texts.buffers()[1], np.int32)[::4][texts.offset : texts.offset + len(texts)]
        longest = int(views[texts.is_valid().to_numpy(zero_copy_only=False)].max(initial=0))
    else:
        longest = pc.max(pc.binary_length(texts)).as_py() or 0
    if longest > MAX_TEXT_BYTES:
        text = f"texts of the column {name!r} must have at most {MAX_TEXT_BYTES} bytes, found one of {longest}"
        raise AnswerError(400, text, column=name)
    return texts.cast(pa.string()) if is_view else texts


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
    values = {}
    for name, column in columns.items():
        texts, places = _distinct(column, name)
        values[name] = [texts[place] for place in places[first].tolist()]
    return {
        one: {name: found[i] for name, found in values.items() if found[i] is not None} for i, one in enumerate(ids)
    }
