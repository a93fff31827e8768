"""Arrow and KServe's protocol, held to the JSON of the same request."""

import http.client
import io
import json
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.given import GivenRows
from serving.gateway.forecast_request import parse_forecast_request, parse_object
from serving.gateway.forecaster import FEW, work_of
from tests.unit.serving.conftest import START

ARROW = "application/vnd.apache.arrow.stream"
PATH = "/v1/forecast"


def _send(address, path, body, **headers):
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    found = response.status, response.getheader("content-type"), response.read()
    connection.close()
    return found


def _json(address, document, path=PATH):
    status, _, body = _send(address, path, json.dumps(document).encode())
    return status, json.loads(body)


def _stream(columns, **options):
    table, sink = pa.table(columns), io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _hours(*hours):
    return pa.array([datetime.fromtimestamp(START + 3600 * hour, UTC) for hour in hours], pa.timestamp("us", "UTC"))


def _rows(**changes):
    """Hours 38 and 39 of a, and its covariate ahead; two rows of b in between."""
    columns = {
        "series": pa.array(["a", "b", "a", "b", "a", "a", "a"]),
        "timestamp": _hours(38, 38, 39, 39, 40, 41, 42),
        "Demand": pa.array([50.0, 60.0, 52.0, 62.0, None, None, None]),
        "Temperature": pa.array([1, 2, 3, 4, 5, 6, 7]),
    }
    return {**columns, **changes}


SAME = {
    "series": ["a", "b"],
    "history": {
        "a": {"start": "2014-01-02T14:00:00Z", "values": {"Demand": [50, 52], "Temperature": [1, 3]}},
        "b": {"start": "2014-01-02T14:00:00Z", "values": {"Demand": [60, 62], "Temperature": [2, 4]}},
    },
    "known": {"a": {"Temperature": [5, 6, 7]}, "b": {"Temperature": [8, 9, 10]}},
}


def _with_b(columns):
    more = {
        "series": ["b"] * 3, "timestamp": _hours(40, 41, 42), "Demand": pa.nulls(3, pa.float64()),
        "Temperature": [8, 9, 10],
    }  # fmt: skip
    return pa.concat_tables([pa.table(columns), pa.table(more)]).to_pydict() | {
        "timestamp": pa.concat_arrays([columns["timestamp"], more["timestamp"]])
    }


@pytest.mark.parametrize("options", [{}, {"compression": "zstd"}])
def test_a_table_of_arrow_is_answered_as_the_same_rows_in_json(address, options):
    status, kind, body = _send(address, PATH, _stream(_with_b(_rows()), **options), content_type=ARROW)
    assert (status, kind) == (200, ARROW), body
    table = pa.ipc.open_stream(body).read_all()
    status, document = _json(address, SAME)
    assert status == 200, document
    assert table.column_names == [
        "series", "timestamp", "point", "q0.1", "q0.5", "q0.9", "origin", "degraded", "imputed", "stale", "reason", "limited_by",
    ]  # fmt: skip
    assert table["series"].to_pylist() == ["a"] * 3 + ["b"] * 3
    for name, values in (("point", "point"), ("q0.9", "0.9")):
        wanted = [one["quantiles"][values] if values != "point" else one["point"] for one in document["forecasts"]]
        np.testing.assert_array_equal(table[name].to_numpy(), np.ravel(wanted).astype(np.float32))
    stamps = [stamp.isoformat().replace("+00:00", "Z") for stamp in table["timestamp"].to_pylist()]
    assert stamps == [stamp for one in document["forecasts"] for stamp in one["timestamps"]]
    assert table.schema.metadata[b"version"] == b"1"
    assert not any(table["degraded"].to_pylist() + table["stale"].to_pylist())


def test_either_form_is_answered_in_the_form_that_is_accepted(address):
    _, kind, body = _send(address, PATH, b'{"series": ["a"]}', accept=ARROW)
    assert kind == ARROW
    only_ids = _stream({"series": ["a"]})
    status, kind, text = _send(address, PATH, only_ids, content_type=ARROW, accept="application/json")
    assert (status, kind) == (200, "application/json")
    point = pa.ipc.open_stream(body).read_all()["point"].to_numpy()
    np.testing.assert_array_equal(point, np.float32(json.loads(text)["forecasts"][0]["point"]))


def test_what_else_is_asked_for_of_a_table_is_in_the_query(address):
    path = f"{PATH}?origin=2014-01-02T02:00:00%2B02:00&quantile=0.9&fallback=false"
    status, _, body = _send(address, path, _stream({"series": ["a"]}), content_type=ARROW)
    assert status == 200, body
    table = pa.ipc.open_stream(body).read_all()
    assert table["origin"].to_pylist()[0] == datetime(2014, 1, 2, tzinfo=UTC)
    assert [name for name in table.column_names if name.startswith("q")] == ["q0.9"]


@pytest.mark.parametrize(
    ("columns", "query", "message", "about"),
    [
        (_rows(Demand=pa.array([1.0, 2.0, np.nan, 4.0, 5.0, 6.0, 7.0])), "", "the column 'Demand' must have finite numbers, null where nothing is given, found nan in row 2, of series 'a'", ("a", "Demand", "2")),
        (_rows(Wind=pa.array([1.0] * 7)), "", "must have columns among ['Demand', 'Temperature'], found 'Wind'", ("a", "Wind", None)),
        (_rows(timestamp=pa.array([0] * 7)), "", "the column 'timestamp' must be times with a zone, found int64", (None, "timestamp", None)),
        (_rows(timestamp=pa.concat_arrays([_hours(1, 2, 3, 4, 5, 6), pa.nulls(1, pa.timestamp("us", "UTC"))])), "", "must not be null, found null in row 6, of series 'a'", ("a", "timestamp", "6")),
        (_rows(timestamp=_hours(38, 38, 38.5, 39, 40, 41, 42)), "", "'history' of series 'a' must have times on the grid of 3600 s steps, found 2014-01-02T14:30:00Z", ("a", None, "2014-01-02T14:30:00Z")),
        (_rows(timestamp=_hours(38, 38, 38, 39, 40, 41, 42)), "", "must name each time once, found 2014-01-02T14:00:00Z twice", ("a", None, "2014-01-02T14:00:00Z")),
        (_rows(series=pa.array(["a", None] + ["a"] * 5)), "", "the column 'series' must be text without nulls, found string with 1 nulls", (None, "series", None)),
        (_rows(Demand=pa.array([True] * 7)), "", "the column 'Demand' must be numbers, found bool", (None, "Demand", None)),
        ({"series": pa.array([], pa.string())}, "", "must have a column 'series' and a row", (None, None, None)),
        ({"series": ["a"], "Demand": [1.0]}, "", "must have a column 'timestamp' too", (None, None, None)),
        ({"series": ["a"]}, "?horizon=3", "unknown key 'horizon' in the query", (None, None, None)),
        ({"series": ["a"]}, "?quantile=2", "'quantile' must be a level between 0 and 1, found '2'", (None, None, None)),
        ({"series": ["a"]}, "?fallback=no", "'fallback' must be true or false, found 'no'", (None, None, None)),
    ],
)  # fmt: skip
def test_a_table_that_does_not_fit_is_refused_by_series_column_and_row(address, columns, query, message, about):
    status, kind, body = _send(address, PATH + query, _stream(columns), content_type=ARROW)
    document = json.loads(body)
    assert (status, kind) == (400, "application/json")
    assert message in document["error"]
    assert (document.get("series"), document.get("column"), document.get("place")) == about


@pytest.mark.parametrize("body", [b"", b"{}", b"ARROW1", _stream({"series": ["a"]})[:40]])
def test_what_is_no_arrow_stream_is_refused(address, body):
    status, _, text = _send(address, PATH, body, content_type=ARROW)
    assert status == 400, text


def test_a_table_that_grows_out_of_a_small_body_is_refused(address):
    indices = pa.array(np.zeros(4_000_000, np.int32))
    zeros = _stream({"series": pa.DictionaryArray.from_arrays(indices, ["a"])}, compression="zstd")
    assert len(zeros) < 100_000
    status, _, text = _send(address, PATH, zeros, content_type=ARROW)
    assert status == 413
    assert b"must not be more than 32 times as large as the body" in text


KSERVE = "/v1/timeseries/forecast"


def _kserve(**changes):
    series = {
        "type": "univariate_time_series", "name": "a", "series": [50, 52], "frequency": "hour",
        "start_timestamp": "2014-01-02T14:00:00Z",
    }  # fmt: skip
    options = changes.pop("options", {"horizon": 2, "quantiles": [0.1, 0.9]})
    return {"model": changes.pop("model", "tiny"), "inputs": [{**series, **changes}], "options": options}


def test_kserves_protocol_gives_the_same_forecast(address):
    status, found = _json(address, _kserve(), KSERVE)
    assert status == 200, found
    body = {"history": {"a": {"start": "2014-01-02T14:00:00Z", "values": {"Demand": [50, 52]}}}}
    forecast = _json(address, body)[1]["forecasts"][0]
    assert (found["status"], found["model"], found["outputs"][0]["status"]) == ("completed", "tiny", "completed")
    (content,) = found["outputs"][0]["content"]
    assert content["mean_forecast"] == forecast["point"][:2]
    assert content["quantiles"] == {level: forecast["quantiles"][level][:2] for level in ("0.1", "0.9")}
    assert (content["name"], content["frequency"], content["start_timestamp"]) == ("a", "hour", "2014-01-02T16:00:00Z")


def test_several_columns_by_kserves_protocol_are_those_of_the_model(address):
    many = _kserve(type="multivariate_time_series", series=[[50, 1], [52, 3]], options={"horizon": 3})
    (content,) = _json(address, many, KSERVE)[1]["outputs"][0]["content"]
    assert content["mean_forecast"] == _json(address, _kserve(options={"horizon": 3}), KSERVE)[1]["outputs"][0]["content"][0]["mean_forecast"]  # fmt: skip
    assert content["quantiles"] is None


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"model": "other"}, 404, "'model' must be 'tiny' or 'tiny-candidate', found 'other'"),
        ({"options": {"horizon": 4}}, 400, "'options.horizon' must be a number of steps from 1 to 3, found 4"),
        ({"options": {"horizon": True}}, 400, "found True"),
        ({"frequency": "day"}, 400, "'frequency' of series 'a' must be 'hour'"),
        ({"frequency": []}, 400, "'frequency' of series 'a' must be one of"),
        ({"frequency": "month"}, 400, "'frequency' of series 'a' must be one of"),
        ({"start_timestamp": None}, 400, "'start_timestamp' of series 'a' must be an ISO 8601 time"),
        ({"series": [1, "x"]}, 400, "found 'x' at place 1"),
        ({"series": []}, 400, "a 'series' of values"),
        (
            {"type": "multivariate_time_series", "series": [[1, 2, 3]]},
            400,
            "row 0 of 'series' of 'a' must have 2 values",
        ),
        ({"name": "new"}, 400, "the known covariate 'Temperature' is missing"),
    ],
)
def test_bad_requests_by_kserves_protocol_get_one_clear_line(address, changes, status, message):
    found, document = _json(address, _kserve(**changes), KSERVE)
    assert found == status
    assert message in document["error"]


def test_kserves_list_of_models_has_the_one(address):
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request("GET", "/v1/timeseries/models")
    assert json.loads(connection.getresponse().read()) == ["tiny"]
    connection.close()


def test_a_body_of_json_with_too_many_values_is_refused_before_it_is_parsed():
    """It is no JSON, which nobody looks at any more."""
    with pytest.raises(AnswerError, match="a body of JSON must have at most 5000000 values") as found:
        parse_forecast_request(b'{"history": [' + b"1," * 5_000_000)
    assert found.value.code == 413


def test_as_many_values_as_a_body_may_have_are_parsed():
    assert len(parse_object(b'{"a": [' + b"1," * 4_999_999 + b"1]}")["a"]) == 5_000_000


def test_one_series_with_many_rows_is_worth_a_thread():
    def rows(n):
        return GivenRows(("a",), np.zeros(n, np.int64), np.arange(n), {"Demand": np.ones(n)})

    assert work_of(1, None) == work_of(1, rows(1_999)) == 1 <= FEW
    assert work_of(1, rows(17_000)) == 17 > FEW
    assert work_of(40, rows(17_000)) == 40
