"""Arrow bodies that are small and mean much: read without a gateway, so that a crash would be seen here."""

import io

import numpy as np
import pyarrow as pa
import pytest

from forecasting.answering.answer_error import AnswerError
from serving.gateway.arrow_bodies import read_rows
from serving.gateway.arrow_sizes import decoded_bytes


def _stream(columns, *, n_batches=1, **options):
    table, sink = pa.table(columns), io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for _ in range(n_batches):
            writer.write_table(table)
    return sink.getvalue()


def _dictionary(places, texts):
    return pa.DictionaryArray.from_arrays(pa.array(places, pa.int32()), texts)


def _view(texts):
    return pa.array(texts, pa.string_view())


def _static(column):
    times = pa.array([0] * len(column), pa.timestamp("s", "UTC"))
    return {"series": pa.array([str(i) for i in range(len(column))]), "timestamp": times, "kind": column}


LONG = "a" * 1_000_000


@pytest.mark.parametrize(
    "series", [_dictionary([0] * 3000, [LONG]), _dictionary([0] * 3000, _view([LONG])), _view([LONG]), pa.array([LONG])]
)
def test_rows_that_point_at_one_long_text_are_refused_and_not_written_out(series):
    with pytest.raises(AnswerError, match=r"'series' must have at most 1024 bytes, found one of 1000000") as caught:
        read_rows(_stream({"series": series}))
    assert caught.value.code == 400
    with pytest.raises(AnswerError, match=r"'kind' must have at most 1024 bytes"):
        read_rows(_stream(_static(series)))


@pytest.mark.parametrize(
    "series",
    [
        pa.array(["b", "a", "b"]),
        pa.array(["b", "a", "b"], pa.large_string()),
        _view(["b", "a", "b"]),
        _dictionary([1, 2, 1], ["unused", "b", "a"]),
        _dictionary([1, 2, 3], ["unused", "b", "a", "b"]),
        _dictionary([0, 1, 0], _view(["b", "a"])),
    ],
)
def test_ids_of_every_kind_of_text_come_in_order_of_their_first_row(series):
    times = pa.array([0, 0, 1], pa.timestamp("s", "UTC"))
    ids, rows = read_rows(_stream({"series": series, "timestamp": times}, n_batches=2))
    assert ids == ("b", "a")
    np.testing.assert_array_equal(rows.series, [0, 1, 0, 0, 1, 0])


@pytest.mark.parametrize("kind", [pa.array(["p", None, "q"]), _dictionary([1, None, 0], ["q", "p"])])
def test_a_category_is_that_of_the_first_row_and_null_gives_none(kind):
    _, rows = read_rows(_stream(_static(kind)))
    assert rows.static == {"0": {"kind": "p"}, "1": {}, "2": {"kind": "q"}}


def test_a_null_in_a_dictionary_is_no_id():
    with pytest.raises(AnswerError, match="'series' must be text without nulls"):
        read_rows(_stream({"series": _dictionary([0, 1], pa.array(["a", None]))}))


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_a_compressed_stream_is_measured_before_anything_is_decompressed(compression):
    body = _stream({"series": _dictionary(np.zeros(20_000_000, np.int32), ["a"])}, compression=compression)
    assert len(body) < 1_000_000
    assert 80_000_000 <= decoded_bytes(body) < 80_001_000
    # Cut off behind what is measured, so that who decompresses before measuring finds no stream.
    broken = bytearray(body)
    broken[-len(body) // 2 :] = bytes(len(broken[-len(body) // 2 :]))
    with pytest.raises(AnswerError, match=r"32 times as large as the body") as caught:
        read_rows(bytes(broken))
    assert caught.value.code == 413


def test_what_is_not_compressed_is_measured_as_it_is():
    body = _stream({"series": _dictionary([0] * 100_000, ["a"])})
    assert 400_000 <= decoded_bytes(body) <= len(body)


def test_no_changed_byte_makes_another_error_than_the_one_answered():
    body = _stream({"series": ["a", "b", "a"]}, compression="zstd")
    random, codes = np.random.default_rng(1), set()
    for _ in range(3000):
        changed = bytearray(body)
        changed[random.integers(len(body))] = random.integers(256)
        try:
            read_rows(bytes(changed))
        except AnswerError as error:
            codes.add(error.code)
    assert codes == {400, 413}
