"""From a table to a served forecast with the real command: one promoted run that all tests here share."""

import csv
import json
import os
import re
import signal
import sqlite3
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forecasting.cache import STEP_KINDS
from forecasting.contracts.steps import StepName, steps_of
from forecasting.features.spec import read_feature_spec
from forecasting.manifests import verify
from forecasting.series_store import read_series_store
from forecasting.store.address import store_address
from forecasting.store.forecasts import ForecastQuery, ForecastRole, read_forecasts
from forecasting.store.opening import open_store
from forecasting.windows import ModelInputs, window_inputs
from serving.client import GatewayClient, GatewayRefusalError, GrpcClient, RestClient
from tests.integration.load_home import (
    BROKEN_SITE,
    FIRST_HOUR,
    OUTAGE,
    LoadHome,
    ServedLoad,
    document,
    error_lines,
    half_written,
    load_rows,
    make_sites_home,
    result_lines,
    serving,
    site_rows,
    wait_until,
    weather_rows,
    write_rows,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> tuple[LoadHome, subprocess.CompletedProcess[str]]:
    """A home in which the first run was promoted, and what the run said."""
    home = make_sites_home(tmp_path_factory.mktemp("journey"))
    return home, home.run()


@pytest.fixture(scope="module")
def promoted(journey: tuple[LoadHome, subprocess.CompletedProcess[str]]) -> LoadHome:
    """The home with its champion; only looked at, never changed."""
    home, done = journey
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture
def changeable(promoted: LoadHome, tmp_path: Path) -> LoadHome:
    """A copy of the home with its champion."""
    return promoted.copy(tmp_path / "home")


@pytest.fixture(scope="module")
def waiting(promoted: LoadHome, tmp_path_factory: pytest.TempPathFactory) -> LoadHome:
    """A copy of the home in which a second model passed its gates and waits for approval; only looked at."""
    home = promoted.copy(tmp_path_factory.mktemp("waiting") / "home")
    done = home.run("--set", "training.seed=2", "--set", "deploy.approval=manual")
    assert done.returncode == 0, done.stderr
    assert "model    load version 2 waits for approval: deploy.approval is manual" in done.stdout
    assert "models approve load\n" in done.stdout
    return home


@pytest.fixture(scope="module")
def served(promoted: LoadHome):
    with serving(promoted) as server:
        yield server


@dataclass(frozen=True)
class UserGateway:
    """A gateway that asks for tokens, before a champion and a candidate; and the client of each token."""

    home: LoadHome
    server: ServedLoad
    reader: GatewayClient
    loader: GatewayClient


@pytest.fixture(scope="module")
def user(waiting: LoadHome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserGateway]:
    """As a user has it: tokens by scope, every forecast asked of the candidate too, everything kept."""
    home = waiting.copy(tmp_path_factory.mktemp("user") / "home")
    tokens = home.home / "tokens"
    made = {
        scope: home.almanac("tokens", "make", scope, "--scope", scope, "--file", str(tokens)).stdout.strip()
        for scope in ("read", "write")
    }
    words = ["--set", f"gateway.tokens={tokens}", "--set", "gateway.candidate.shadow=1"]
    with (
        serving(home, *words) as server,
        GatewayClient(server.gateway, token=made["read"]) as reader,
        GatewayClient(server.gateway, token=made["write"]) as loader,
    ):
        yield UserGateway(home, server, reader, loader)


def ask(server: ServedLoad, body: str = "{}") -> dict[str, Any]:
    request = urllib.request.Request(
        f"{server.gateway}/v1/forecast", data=body.encode(), headers={"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.load(response)


def forecast_of(answer: dict[str, Any], series: str) -> dict[str, Any]:
    (forecast,) = [forecast for forecast in answer["forecasts"] if forecast["series"] == series]
    return forecast


def champion_inputs(home: LoadHome) -> ModelInputs:
    """What the champion is asked for its next forecast, made from the series store of the run."""
    store = read_series_store(home.latest().step(StepName.VALIDATE_DATA))
    spec = read_feature_spec(home.layout.models / "load" / "1" / "assets.extra" / "almanac_feature_spec.json")
    return window_inputs(store.series[0], spec, np.asarray([store.spec.split.cutoff]))


def test_a_run_ends_with_0_and_says_what_it_came_to_and_how_to_serve_it(journey):
    home, done = journey
    assert done.returncode == 0, done.stderr
    words = {line.split(maxsplit=1)[0]: line for line in done.stdout.splitlines() if line}
    assert list(words) == [
        "MAE",
        "naive",
        "candidate",
        "size",
        "saved_model",
        "tflite_int8_weights",
        "model",
        "report",
        "serve",
    ]
    assert words["tflite_int8_weights"].endswith("shipped")
    assert words["model"] == "model    load version 1 deployed"
    assert words["serve"].endswith(f"serve -c {home.config}")
    assert Path(words["report"].removeprefix("report").strip()).read_text().startswith("<!DOCTYPE html>")
    assert error_lines(done) == []


def test_the_model_beats_the_naive_by_far(promoted):
    models = document(promoted.latest().step(StepName.EVALUATE_MODEL) / "metrics.json")["models"]
    naive = min(found["overall"]["mae"] for name, found in models.items() if "naive" in name)
    assert models["candidate"]["overall"]["mae"] < 0.25 * naive


def test_a_stuck_site_is_put_aside_with_the_reason_and_the_run_goes_on(promoted):
    run = promoted.latest()
    (record,) = document(run.step(StepName.VALIDATE_DATA) / "report.json")["quarantined"]
    assert record["series"] == BROKEN_SITE
    assert "constant" in record["reason"]
    assert read_series_store(run.step(StepName.VALIDATE_DATA)).index.ids == ("north",)
    assert BROKEN_SITE in (run.step(StepName.REPORT_RUN) / "report.html").read_text(encoding="utf-8")


def test_a_stuck_site_is_answered_by_a_marked_fallback(served):
    answer = ask(served)
    forecast = forecast_of(answer, BROKEN_SITE)
    assert forecast["degraded"] is True
    assert "constant" in forecast["reason"]
    assert forecast["point"] == [512.0] * 24
    assert forecast_of(answer, "north")["degraded"] is False


def test_an_outage_counts_neither_as_zero_nor_in_the_backtest(promoted):
    series = read_series_store(promoted.latest().step(StepName.VALIDATE_DATA)).get("north")
    first = int((OUTAGE[0] - FIRST_HOUR).total_seconds()) // 3_600
    assert np.isnan(series.values[first : first + 12, 0]).all()
    assert np.nanmin(series.values[:, 0]) > 200


def test_a_forecast_knows_the_weather_as_it_had_been_issued_and_not_later(promoted):
    store = read_series_store(promoted.latest().step(StepName.VALIDATE_DATA))
    series, spec = store.get("north"), store.spec
    noon = series.start + (50 * 24 + 12) * 3_600
    issues = {(row["issued_at"], row["time"]): row["temperature"] for row in weather_rows(load_rows())}
    stamps = [(FIRST_HOUR + timedelta(hours=50 * 24 + 12 + ahead)).isoformat() for ahead in range(24)]
    issued = (FIRST_HOUR + timedelta(days=50)).isoformat()
    expected = [float(issues[issued, stamp]) for stamp in stamps]
    assert series.vintages is not None
    np.testing.assert_allclose(series.vintages.known_at(np.asarray([noon]), 24, spec.step_s)[0, :, 0], expected)


@pytest.mark.parametrize("step", steps_of())
def test_what_a_step_wrote_agrees_with_its_manifest(promoted, step):
    assert verify(promoted.latest().step(step), STEP_KINDS[step]).kind == STEP_KINDS[step]


def test_the_registry_has_the_alias_champion_on_the_version(promoted):
    tracking = document(promoted.latest().step(StepName.REPORT_RUN) / "tracking.json")
    assert tracking["problems"] == []
    with sqlite3.connect(promoted.layout.tracking_database) as database:
        aliases = database.execute("SELECT name, alias, version FROM registered_model_aliases").fetchall()
        runs = database.execute("SELECT version, run_id FROM model_versions WHERE name = 'load'").fetchall()
    assert aliases == [("load", "champion", 1)]
    assert runs == [(1, tracking["run_id"])]


def test_an_unchanged_second_run_takes_everything_from_the_first_and_says_so(changeable):
    first = changeable.latest().name
    before = changeable.champion_bytes()
    done = changeable.run()
    assert done.returncode == 0, done.stderr
    said = result_lines(done)
    assert {step for step, line in said.items() if line == f"unchanged, reused from {first}"} == set(steps_of()) - {
        "report_run"
    }
    assert "model    load version 1 is champion already" in done.stdout
    assert changeable.champion_bytes() == before


def test_explain_says_what_another_seed_would_run_and_why(promoted):
    done = promoted.almanac("cache", "explain", "-c", str(promoted.config), "--set", "training.seed=2")
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()[2:] if not line.startswith(" ")]
    assert done.returncode == 0
    assert [step for step, verdict, _ in lines if verdict == "reuse"] == ["validate_data", "build_features"]
    assert ["train_model", "run", "setting training.seed: 1 → 2"] in lines


def test_a_step_of_a_finished_run_runs_again_in_one_process(changeable):
    before = changeable.champion_bytes()
    done = changeable.almanac("step", "evaluate_model", "--run", changeable.latest().name)
    assert done.returncode == 0, done.stderr
    assert "MAE" in result_lines(done)["evaluate_model"]
    assert verify(changeable.latest().step(StepName.EVALUATE_MODEL), STEP_KINDS[StepName.EVALUATE_MODEL])
    assert changeable.champion_bytes() == before


def test_grpc_rest_gateway_and_command_give_the_same_numbers(promoted, served, tmp_path):
    inputs = champion_inputs(promoted).as_dict()
    assert np.isfinite(inputs["future"]).all()
    with GrpcClient(served.grpc) as client:
        answer = client.predict("load", inputs)
    rest = RestClient(served.rest).predict("load", inputs)
    forecast = forecast_of(ask(served), "north")
    done = promoted.almanac(
        "forecast", "-c", str(promoted.config), "--endpoint", served.gateway, "--out", str(tmp_path / "next.csv")
    )
    assert done.returncode == 0, done.stderr
    rows = [row for row in csv.DictReader((tmp_path / "next.csv").open()) if row["series"] == "north"]
    assert answer.version == 1
    assert answer.quantiles.shape == (1, 24, 3)
    assert (np.diff(answer.quantiles, axis=-1) >= 0).all()
    np.testing.assert_array_equal(rest.quantiles, answer.quantiles)
    np.testing.assert_array_equal(np.float32(list(forecast["quantiles"].values())).T, answer.quantiles[0])
    table = np.float32([[row["q0.1"], row["q0.5"], row["q0.9"]] for row in rows])
    np.testing.assert_array_equal(table, answer.quantiles[0])
    assert [row["timestamp"] for row in rows[:2]] == ["2024-04-30T00:00:00Z", "2024-04-30T01:00:00Z"]


def test_the_served_forecast_is_near_what_the_table_would_have_said(served):
    truth = hidden_day()
    forecast = forecast_of(ask(served), "north")
    assert np.mean(np.abs(np.array(forecast["point"]) - truth)) < 40


def hidden_day() -> np.ndarray:
    """The load of the day after the table, without its noise."""
    rows = load_rows()[-24:]
    hours = np.arange(24)
    temperature = np.array([float(row["temperature"]) for row in rows])
    off = (np.array([row["holiday"] for row in rows]) == "1") | (120 % 7 >= 5)
    return 1_000 + 200 * np.sin(2 * np.pi * (hours - 8) / 24) + 25 * (temperature - 15) - 150 * off


def posted_day(*, factor: float = 1.0) -> pa.Table:
    """The load of the day after the table, as a meter would send it."""
    times = pa.array([FIRST_HOUR + timedelta(hours=120 * 24 + hour) for hour in range(24)], pa.timestamp("s", "UTC"))
    return pa.table({"series": ["north"] * 24, "timestamp": times, "load": factor * hidden_day()})


NEXT_DAY = datetime(2024, 5, 1, tzinfo=UTC)
NEXT_WEATHER = {"north": {"temperature": [15.0] * 24, "holiday": [0.0] * 24}}


def test_each_token_allows_what_its_scope_says_and_no_more(user):
    with GatewayClient(user.server.gateway, token="") as nobody, pytest.raises(GatewayRefusalError) as refused:
        nobody.forecast(["north"])
    assert refused.value.status == 401
    with pytest.raises(GatewayRefusalError) as refused:
        user.reader.observe(posted_day())
    assert refused.value.status == 403
    with pytest.raises(GatewayRefusalError) as refused:
        user.loader.forecast(["north"])
    assert refused.value.status == 403


def test_a_day_that_was_observed_moves_the_forecast_and_a_correction_changes_it(user):
    before = user.reader.forecast(["north"])
    assert before.table["timestamp"][0].as_py() == NEXT_DAY - timedelta(days=1)
    posted = user.loader.observe(posted_day())
    assert (posted.new, posted.restated) == (24, 0)
    assert user.loader.observe(posted_day()).unchanged == 24
    after = user.reader.forecast(["north"], origin=NEXT_DAY, known=NEXT_WEATHER)
    assert after.table["timestamp"][0].as_py() == NEXT_DAY
    assert user.loader.observe(posted_day(factor=1.1)).restated == 24
    corrected = user.reader.forecast(["north"], origin=NEXT_DAY, known=NEXT_WEATHER)
    change = np.subtract(corrected.table["point"].to_pylist(), after.table["point"].to_pylist())
    assert np.mean(change) > 10
    assert user.loader.observe(posted_day()).restated == 24
    again = user.reader.forecast(["north"], origin=NEXT_DAY, known=NEXT_WEATHER)
    assert again.table["point"].to_pylist() == after.table["point"].to_pylist()


def test_every_forecast_is_kept_beside_what_the_candidate_would_have_said(user):
    answer = user.reader.forecast(["north"], request_id="order-17")
    pinned = user.reader.forecast(["north"], model="candidate")
    assert ((answer.version, answer.role), (pinned.version, pinned.role)) == ((1, "champion"), (2, "candidate"))
    with open_store(store_address(None, user.home.layout.serving_database)) as store:

        def kept():
            found = read_forecasts(store, ForecastQuery(model="load", series=("north",)))
            return {one.role: one for one in found if one.request.startswith("order-17/")}

        wait_until(lambda: len(kept()) == 2, user.server.process, timeout_s=30)
        by_role = kept()
    assert {role: one.version for role, one in by_role.items()} == {ForecastRole.CHAMPION: 1, ForecastRole.SHADOW: 2}
    for role, said in ((ForecastRole.CHAMPION, answer), (ForecastRole.SHADOW, pinned)):
        median = by_role[role].quantiles[:, by_role[role].levels.index(0.5)]
        np.testing.assert_array_equal(median, said.table["point"].to_numpy())


def test_a_batch_of_all_series_says_what_the_gateway_says(user, tmp_path):
    cutoff = "2024-04-30T00:00:00Z"
    online = user.reader.forecast(cutoff=cutoff)
    done = user.home.almanac(
        "forecast", "-c", str(user.home.config), "--batch", str(tmp_path), "--cutoff", cutoff, "--json"
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["version"], told["n_series"], told["n_degraded"]) == (1, 2, 1)
    batch = pq.read_table(told["place"])
    for name in ("series", "timestamp", "degraded", "reason"):
        assert batch.column(name).to_pylist() == online.table.column(name).to_pylist()
    for name in ("point", "q0.1", "q0.5", "q0.9"):
        np.testing.assert_allclose(batch.column(name).to_numpy(), online.table.column(name).to_numpy(), rtol=1e-6)


def test_the_page_and_all_that_it_loads_come_from_the_gateway_without_a_token(user):
    def fetch(path: str) -> tuple[int, str, str]:
        with urllib.request.urlopen(user.server.gateway + path, timeout=20) as response:
            return response.status, response.headers["content-type"], response.read().decode()

    status, kind, page = fetch("/")
    assert (status, kind.partition(";")[0]) == (200, "text/html")
    loaded = re.findall(r'(?:src|href)="(/?[^":]+)"', page)
    assert {Path(path).suffix for path in loaded} >= {".js", ".css"}
    for path in loaded:
        assert fetch(f"/{path.lstrip('/')}")[0] == 200, path


def test_a_model_server_that_dies_is_stood_in_for_until_it_is_back(user):
    children = Path(f"/proc/{user.server.process.pid}/task/{user.server.process.pid}/children").read_text().split()
    (server,) = [int(pid) for pid in children if b"serving.model_server" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(server, signal.SIGKILL)
    found = user.reader.forecast(["north"]).table
    assert all(found["degraded"].to_pylist())
    assert "the model server cannot be reached" in found["reason"][0].as_py()
    assert np.isfinite(found["point"].to_numpy()).all()
    wait_until(
        lambda: not any(user.reader.forecast(["north"]).table["degraded"].to_pylist()),
        user.server.process,
        timeout_s=60,
    )


def test_a_run_on_a_missing_table_leaves_the_champion_served(promoted, served, tmp_path):
    copy = promoted.copy(tmp_path / "home")
    with serving(copy) as server:
        before = ask(server), copy.champion_bytes()
        done = copy.run("--set", "data.uri=gone.csv")
        assert done.returncode == 3
        assert (ask(server), copy.champion_bytes()) == before


def test_sigterm_ends_serving_with_0_and_leaves_no_process_behind(promoted):
    with serving(promoted) as server:
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        assert len(children) >= 2
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=30) == 0
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []


def test_a_backtest_of_the_champion_finds_the_error_that_its_run_had_found(changeable):
    done = changeable.almanac("backtest", "-c", str(changeable.config), "--model", "champion", "--json")
    assert done.returncode == 0, done.stderr
    run = changeable.latest()
    variant = document(run.step(StepName.EVALUATE_COMPRESSED) / "decision.json")["variant"]
    found = document(run.step(StepName.EVALUATE_COMPRESSED) / "metrics.json")["models"][variant]["overall"]
    backtest = json.loads(done.stdout)
    champion = backtest["backtest"]["models"]["champion"]["overall"]
    assert champion["n_points"] == found["n_points"]
    assert champion["mae"] == pytest.approx(found["mae"], rel=1e-6)
    assert backtest["skill"]["champion"] > 0.5
    assert backtest["notes"] == []


def test_a_model_of_shuffled_targets_is_refused_and_the_champion_untouched(changeable, tmp_path):
    rows = load_rows()
    targets = np.random.default_rng(0).permutation([row["load"] for row in rows[:-24]])
    shuffled = [{**row, "load": str(load)} for row, load in zip(rows, [*targets, *[""] * 24], strict=True)]
    table = write_rows(site_rows(shuffled), tmp_path / "shuffled.csv")
    before = changeable.champion_bytes()
    done = changeable.run("--set", f"data.uri={table}")
    assert done.returncode == 4, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("not promoted: evaluate_model refused: ")]
    assert "max_naive_ratio fails" in line
    assert line.endswith("the champion is untouched")
    assert changeable.champion_bytes() == before
    assert half_written(changeable.latest()) == []


def test_a_model_that_waits_for_approval_is_served_as_candidate_and_its_report_says_so(waiting):
    roles = json.loads(waiting.champion_bytes()[0])
    assert (roles["champion"], roles["candidate"], roles["previous"]) == (1, 2, None)
    gates = document(waiting.latest().step(StepName.REPORT_RUN) / "gate_report.json")
    assert gates["badge"] == "Waits for approval"
    rules = {rule["rule"]: rule for rule in gates["gates"][0]["rules"]}
    assert {"max_range_ratio", "max_mae", "max_naive_ratio", "max_champion_ratio"} <= set(rules)
    assert {rule["verdict"] for rule in rules.values()} == {"passed"}
    compared = waiting.almanac("models", "compare", "load", "1", "2", "--json")
    assert compared.returncode == 0, compared.stderr
    common = json.loads(compared.stdout)["common"]
    assert common["ratio"] == pytest.approx(common["mae"][1] / common["mae"][0])
    assert common["n_points"] > 0


def test_a_running_server_follows_an_approval_and_two_rollbacks(waiting, tmp_path):
    changeable = waiting.copy(tmp_path / "home")
    with serving(changeable) as server, GrpcClient(server.grpc) as client:

        def answers(version: int) -> bool:
            return (ask(server)["version"], client.predict("load", inputs).version) == (version, version)

        inputs = champion_inputs(changeable).as_dict()
        first = ask(server)
        assert first["version"] == 1
        approved = changeable.almanac("models", "approve", "load", "--reason", "looked at the nights")
        assert (approved.returncode, approved.stdout) == (0, "version 2 of load is approved and champion\n")
        wait_until(lambda: answers(2), server.process, timeout_s=30)
        assert forecast_of(ask(server), "north")["point"] != forecast_of(first, "north")["point"]
        done = changeable.almanac("models", "rollback", "load")
        assert (done.returncode, done.stdout) == (0, "version 1 of load is champion again\n")
        assert "versions: 1 " in changeable.champion_bytes()[1].decode()
        wait_until(lambda: answers(1), server.process, timeout_s=30)
        assert forecast_of(ask(server), "north")["point"] == forecast_of(first, "north")["point"]
        assert changeable.almanac("models", "rollback", "load").returncode == 0
        wait_until(lambda: answers(2), server.process, timeout_s=30)
    log = changeable.almanac("models", "show", "load", "--audit", "--json")
    changes = [(record["action"], record["version"]) for record in json.loads(log.stdout)]
    assert changes == [
        ("candidate", 1), ("promote", 1), ("candidate", 2), ("approve", 2), ("rollback", 1), ("rollback", 2),
    ]  # fmt: skip
