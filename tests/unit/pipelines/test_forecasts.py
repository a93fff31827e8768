"""Forecasts as the command line asks for and writes them, against a real HTTP server."""

import http.server
import json
import threading
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forecasting.config.gateway import GatewayConfig
from forecasting.config.sections import ServingConfig
from forecasting.config.table import DataConfig
from forecasting.errors import ConfigError, RemoteError, RetryableError
from pipelines.cli import main
from pipelines.commands.forecast import local_endpoint
from pipelines.forecasts import ask_gateway, forecast_table, origin_notes, write_forecasts
from pipelines.known_file import read_known

ANSWER: dict[str, Any] = {
    "model": "toy",
    "version": 3,
    "target": "load",
    "step_s": 3600,
    "forecasts": [
        {
            "series": "a",
            "origin": "2026-01-01T00:00:00Z",
            "timestamps": ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"],
            "point": [2.0, 5.0],
            "quantiles": {"0.1": [1.0, 4.0], "0.5": [2.0, 5.0], "0.9": [3.0, 6.0]},
        }
    ],
}


class Gateway(http.server.BaseHTTPRequestHandler):
    """Answers with the first of `answers`; keeps the bodies it was sent."""

    code = 200
    answer = json.dumps(ANSWER)
    bodies: typing.ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(self.code)
        self.end_headers()
        self.wfile.write(self.answer.encode())

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def gateway() -> Iterator[tuple[str, type[Gateway]]]:
    handler = type("Handler", (Gateway,), {"bodies": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", handler
        server.shutdown()


def test_the_request_names_series_and_origin(gateway: tuple[str, type[Gateway]]) -> None:
    endpoint, handler = gateway
    assert ask_gateway(endpoint + "/", ["a"], "2026-01-01T00:00:00Z") == ANSWER
    assert [json.loads(body) for body in handler.bodies] == [{"series": ["a"], "origin": "2026-01-01T00:00:00Z"}]


def test_no_series_asks_for_all(gateway: tuple[str, type[Gateway]]) -> None:
    endpoint, handler = gateway
    ask_gateway(endpoint, [], None)
    assert "series" not in json.loads(handler.bodies[0])


@pytest.mark.parametrize(
    ("code", "error"),
    [(400, ConfigError), (404, ConfigError), (429, RetryableError), (503, RetryableError), (500, RemoteError)],
)
def test_an_error_of_the_gateway_keeps_its_message(
    gateway: tuple[str, type[Gateway]], code: int, error: type[Exception]
) -> None:
    endpoint, handler = gateway
    handler.code, handler.answer = code, '{"error": "there is no series \'x\'"}'
    with pytest.raises(error, match=f"answers {code}: there is no series 'x'"):
        ask_gateway(endpoint, ["x"], None)


@pytest.mark.parametrize("answer", ["<html>", '{"other": 1}', "[1]"])
def test_an_answer_of_something_else_is_an_error(gateway: tuple[str, type[Gateway]], answer: str) -> None:
    endpoint, handler = gateway
    handler.answer = answer
    with pytest.raises(RemoteError, match="must answer with"):
        ask_gateway(endpoint, [], None)


def test_a_gateway_that_is_not_there_is_told_how_to_start() -> None:
    with pytest.raises(RemoteError, match=r"no gateway answers at http://127.0.0.1:1 .*almanac serve"):
        ask_gateway("http://127.0.0.1:1", [], None)


def test_rows_hold_series_time_point_and_quantiles() -> None:
    found = forecast_table(ANSWER)
    assert found.columns == ("series", "timestamp", "point", "q0.1", "q0.5", "q0.9", "degraded")
    assert found.rows == (
        ("a", "2026-01-01T00:00:00Z", 2.0, 1.0, 2.0, 3.0, False),
        ("a", "2026-01-01T01:00:00Z", 5.0, 4.0, 5.0, 6.0, False),
    )


def test_a_degraded_forecast_is_noted_with_its_reason_and_marked_in_table_csv_parquet_and_picture(
    gateway: tuple[str, type[Gateway]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint, handler = gateway
    stands_in = {
        **ANSWER["forecasts"][0],
        "series": "b",
        "degraded": True,
        "reason": "the series is in quarantine: stuck",
    }
    answer = {**ANSWER, "forecasts": [*ANSWER["forecasts"], stands_in]}
    handler.answer = json.dumps(answer)
    config = str(Path(__file__).parents[3] / "pipelines" / "configs" / "electricity.yaml")
    assert main(["forecast", "-c", config, "--endpoint", endpoint]) == 0
    printed = capsys.readouterr()
    assert "degraded: 1 series by the seasonal naive forecast: the series is in quarantine: stuck" in printed.err
    lines = printed.out.splitlines()
    assert lines[0].endswith("degraded")
    assert [line.endswith("yes") for line in lines[1:]] == [False, False, True, True]
    for name in ("out.csv", "out.parquet", "out.png", "model.png"):
        write_forecasts(ANSWER if name == "model.png" else answer, tmp_path / name)
    assert [line.rsplit(",", 1)[1] for line in (tmp_path / "out.csv").read_text().splitlines()] == [
        "degraded", "false", "false", "true", "true",
    ]  # fmt: skip
    assert pq.read_table(tmp_path / "out.parquet").column("degraded").to_pylist() == [False, False, True, True]
    assert (tmp_path / "out.png").stat().st_size > (tmp_path / "model.png").stat().st_size


def test_the_picture_draws_the_mean_where_there_is_one(tmp_path) -> None:
    forecasts = [{**forecast, "mean": [value + 40 for value in forecast["point"]]} for forecast in ANSWER["forecasts"]]
    write_forecasts(ANSWER, tmp_path / "plain.png")
    write_forecasts({**ANSWER, "forecasts": forecasts}, tmp_path / "mean.png")
    assert (tmp_path / "mean.png").read_bytes() != (tmp_path / "plain.png").read_bytes()


def test_the_notes_say_from_when_a_forecast_is_why_and_what_was_skipped() -> None:
    late = {"origin": "2026-01-02T00:00:00Z", "limited_by": None}
    early = {"origin": "2026-01-01T00:00:00Z", "limited_by": "known covariates end at 2026-01-01T01:00:00Z"}
    reasons = [f"series {name!r} cannot be forecast: it has no target" for name in "xyzw"]
    skipped = [{"series": reason[8], "reason": reason} for reason in reasons]
    assert origin_notes({"forecasts": [late, early, early], "skipped": skipped}) == [
        "2 series forecast from 2026-01-01T00:00:00Z: known covariates end at 2026-01-01T01:00:00Z",
        "1 series forecast from 2026-01-02T00:00:00Z",
        "skipped: series 'x' cannot be forecast: it has no target",
        "skipped: series 'y' cannot be forecast: it has no target",
        "skipped: series 'z' cannot be forecast: it has no target",
        "and 1 more skipped series",
    ]


def test_the_notes_go_to_stderr_and_leave_the_output_clean(
    gateway: tuple[str, type[Gateway]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint, _ = gateway
    config = str(Path(__file__).parents[3] / "pipelines" / "configs" / "electricity.yaml")
    assert main(["forecast", "-c", config, "--endpoint", endpoint, "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == ANSWER
    assert printed.err == "1 series forecast from 2026-01-01T00:00:00Z\n"


def test_csv_has_a_header_and_a_line_a_step(tmp_path: Path) -> None:
    write_forecasts(ANSWER, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        "series,timestamp,point,q0.1,q0.5,q0.9,degraded",
        "a,2026-01-01T00:00:00Z,2.0,1.0,2.0,3.0,false",
        "a,2026-01-01T01:00:00Z,5.0,4.0,5.0,6.0,false",
    ]


def test_the_mean_of_a_model_that_has_one_follows_the_point(tmp_path: Path) -> None:
    (forecast,) = ANSWER["forecasts"]
    write_forecasts({**ANSWER, "forecasts": [{**forecast, "mean": [2.5, 5.5]}]}, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        "series,timestamp,point,mean,q0.1,q0.5,q0.9,degraded",
        "a,2026-01-01T00:00:00Z,2.0,2.5,1.0,2.0,3.0,false",
        "a,2026-01-01T01:00:00Z,5.0,5.5,4.0,5.0,6.0,false",
    ]


def test_parquet_has_typed_columns(tmp_path: Path) -> None:
    write_forecasts(ANSWER, tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert str(table.schema.field("timestamp").type) == "timestamp[s, tz=UTC]" or "UTC" in str(
        table.schema.field("timestamp").type
    )
    assert table.column("q0.9").to_pylist() == [3.0, 6.0]


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    write_forecasts(ANSWER, tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("name", "message"), [("out.xlsx", "must end in"), ("absent/out.csv", "there is no folder")])
def test_an_output_that_cannot_be_written_is_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        write_forecasts(ANSWER, tmp_path / name)


def test_the_local_gateway_is_where_the_configuration_says() -> None:
    assert local_endpoint(ServingConfig(gateway_port=8123)) == "http://127.0.0.1:8123"
    assert local_endpoint(ServingConfig(bind_address="0.0.0.0", gateway_port=8123)) == "http://127.0.0.1:8123"
    with pytest.raises(ConfigError, match="any free port"):
        local_endpoint(ServingConfig(gateway_port=0))


CONFIG = str(Path(__file__).parents[3] / "pipelines" / "configs" / "electricity.yaml")
KNOWN = {"a": {"temperature": {"2026-01-01T00:00:00+00:00": 3.5, "2026-01-01T01:00:00+00:00": 4.0}, "promo": {"2026-01-01T01:00:00+00:00": 1.0}}}  # fmt: skip


def test_a_file_of_known_covariates_becomes_part_of_the_request(
    gateway: tuple[str, type[Gateway]], tmp_path: Path
) -> None:
    endpoint, handler = gateway
    path = tmp_path / "ahead.csv"
    path.write_text("series,timestamp,temperature,promo\na,2026-01-01T00:00:00Z,3.5,\na,2026-01-01T01:00:00Z,4,1\n")
    assert main(["forecast", "-c", CONFIG, "--endpoint", endpoint, "--known", str(path), "--json"]) == 0
    assert json.loads(handler.bodies[0]) == {"known": KNOWN}


def test_parquet_and_csv_give_the_same(tmp_path: Path) -> None:
    stamps = pa.array([1_767_225_600, 1_767_229_200], pa.timestamp("s", "UTC"))
    table = pa.table({"series": ["a", "a"], "timestamp": stamps, "temperature": [3.5, 4.0], "promo": [None, 1]})
    pq.write_table(table, tmp_path / "ahead.parquet")
    assert read_known(tmp_path / "ahead.parquet", []) == KNOWN


def test_a_file_for_one_series_needs_no_column_of_series(tmp_path: Path) -> None:
    (tmp_path / "ahead.csv").write_text("timestamp,temperature\n2026-01-01T00:00:00Z,3.5\n")
    assert read_known(tmp_path / "ahead.csv", ["a"]) == {"a": {"temperature": {"2026-01-01T00:00:00+00:00": 3.5}}}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", r"must end in \.csv or \.parquet"),
        ("a.csv", "series,timestamp,t\n", "must have rows with values"),
        ("a.csv", "time,t\n2026-01-01T00:00:00Z,1\n", "line 2: must have the columns series .* found time, t"),
        ("a.csv", "series,timestamp,t\na,soon,1\n", "line 2: timestamp must be an ISO 8601 time .* found 'soon'"),
        ("a.csv", "series,timestamp,t\na,2026-01-01,1\n", "line 2: timestamp must carry a time zone"),
        ("a.csv", "series,timestamp,t\na,2026-01-01T00:00:00Z,warm\n", "line 2: t must be a number, found 'warm'"),
        ("a.csv", "series,timestamp,t\na,2026-01-01T00:00:00Z,inf\n", "line 2: t must be a finite number"),
        ("a.csv", "series,timestamp,t\na,2026-01-01T00:00:00Z\n", "line 2: must have as many cells as the header"),
        ("a.csv", "series,timestamp,t\n" + "a,2026-01-01T00:00:00Z,1\n" * 2, "line 3: the series has a value of 't'"),
        ("a.parquet", "no", "cannot be read"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_told_of_with_its_row(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_known(tmp_path / name, [])


def table_with(**settings: object) -> DataConfig:
    return DataConfig.model_validate({"time_column": "Day", "time_zone": "Europe/Berlin", **settings})


@pytest.mark.parametrize(
    ("settings", "header", "row"),
    [
        ({"time_format": "%d/%m/%Y %H:%M"}, "Day", "05/07/2026 02:00"),
        ({"time_format": "%d/%m/%Y %H:%M", "time_column": "timestamp"}, "timestamp", "05/07/2026 02:00"),
        ({}, "Day", "2026-07-05T00:00Z"),
        ({"time_parts": {"date": "d", "hour": "h"}}, "d, h", "2026-07-05, 2"),
        ({"time_parts": {"date": "d", "time": "t"}, "time_format": "%d.%m.%y %H:%M"}, "d,t", "5.7.26,2:00"),
        ({"time_parts": {"year": "y", "month": "m", "day": "d", "hour": "h", "minute": "n"}}, "y,m,d,h,n", "2026,7,5,2,0"),
    ],
)  # fmt: skip
def test_a_file_may_write_its_times_as_the_table_does(tmp_path: Path, settings: dict, header: str, row: str) -> None:
    (tmp_path / "ahead.csv").write_text(f"series,{header},temperature\na,{row},3.5\n")
    want = {"a": {"temperature": {"2026-07-05T00:00:00+00:00": 3.5}}}
    assert read_known(tmp_path / "ahead.csv", [], table_with(**settings)) == want


@pytest.mark.parametrize(
    ("settings", "text", "message"),
    [
        ({"time_format": "%d/%m/%Y"}, "a,2026-07-05,1", r"line 2: Day must be a time of the form %d/%m/%Y, .* found '2026-07-05'"),
        ({}, "a,5/7/2026,1", r"line 2: Day must be a time in ISO 8601, .* found '5/7/2026'"),
        ({}, "a,2026-10-25 02:30,1", r"the clock of Europe/Berlin shows 2026-10-25 02:30:00 twice or never"),
        ({"time_zone": None}, "a,2026-07-05 02:30,1", r"Day must carry a time zone, or data.time_zone must be set"),
        ({"time_parts": {"date": "Day", "hour": "t"}}, "a,2026-07-05,24", r"Day, t must be a time in ISO 8601"),
        ({"time_parts": {"year": "Day", "month": "t", "day": "t2"}}, "a,2026-07-05,1", r"or for the time Day, t, t2, found series, Day, t"),
    ],
)  # fmt: skip
def test_a_time_that_is_not_written_as_in_the_table_is_told_of(
    tmp_path: Path, settings: dict, text: str, message: str
) -> None:
    (tmp_path / "ahead.csv").write_text(f"series,Day,t\n{text}\n")
    with pytest.raises(ConfigError, match=message):
        read_known(tmp_path / "ahead.csv", [], table_with(**settings))


def test_a_file_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_known(tmp_path / "absent.csv", [])


def test_all_asks_for_every_series_and_not_for_some(
    gateway: tuple[str, type[Gateway]], capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint, handler = gateway
    assert main(["forecast", "-c", CONFIG, "--endpoint", endpoint, "--all"]) == 0
    assert handler.bodies == [b"{}"]
    assert main(["forecast", "-c", CONFIG, "--endpoint", endpoint, "--all", "--series", "a"]) == 2
    assert "leave out --series, or --all" in capsys.readouterr().err


def test_the_gateway_of_a_configuration_with_a_certificate_is_asked_over_tls() -> None:
    settings = GatewayConfig(bind_address="10.0.0.5", tls_certificate="c.pem", tls_key="k.pem")
    assert local_endpoint(ServingConfig(gateway_port=8123), settings) == "https://10.0.0.5:8123"
