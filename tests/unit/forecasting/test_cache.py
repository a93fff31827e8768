"""The key of validate_data: the table itself, however its address is written, and the time where its age counts."""

import json
from pathlib import Path

import pytest

from forecasting.cache import KeyRecord, step_key, write_key
from forecasting.config.root import STEP_SETTINGS
from forecasting.contracts.artifacts import ArtifactKind
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.errors import ConfigError, DataError
from forecasting.execution import execute_step
from forecasting.manifests import digest_text, write_manifest
from forecasting.repository import ModelRepository
from forecasting.runs import RunRecord, StepRecord, create_run, write_step
from forecasting.steps import StepOutcome
from pipelines.initial.opening import PLACEHOLDER_GATES


@pytest.fixture
def home(tmp_path: Path) -> HomeLayout:
    return HomeLayout(tmp_path / "home")


def key_of(
    uri: str, home: HomeLayout, *, max_age: str | None = None, cutoff: str | None = None, created: float = 0.0
) -> str:
    document = {
        "name": "toy", "data": {"uri": uri}, "validation": {"max_age": max_age}, "forecast": {}, "features": {},
        "split": {},
    }  # fmt: skip
    settings = STEP_SETTINGS[StepName.VALIDATE_DATA].model_validate_json(json.dumps(document))
    return step_key(StepName.VALIDATE_DATA, settings, cutoff=cutoff, parents={}, home=home, created=created).digest


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_table_that_was_rewritten_has_another_key(scheme: str, home: HomeLayout, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("time,load\n2024-01-01T00:00:00Z,1\n")
    before = key_of(f"{scheme}{table}", home)
    assert key_of(f"{scheme}{table}", home) == before
    table.write_text("time,load\n2024-01-01T00:00:00Z,2\n")
    assert key_of(f"{scheme}{table}", home) != before


def test_an_example_that_was_changed_has_another_key(home: HomeLayout) -> None:
    not_made = key_of("example://retail", home)
    home.examples.mkdir(parents=True)
    (home.examples / "retail.parquet").write_bytes(b"made")
    made = key_of("example://retail", home)
    (home.examples / "retail.parquet").write_bytes(b"changed by hand")
    assert len({not_made, made, key_of("example://retail", home)}) == 3


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_table_that_is_not_there_has_no_key(scheme: str, home: HomeLayout, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is none at .*nowhere\.csv"):
        key_of(f"{scheme}{tmp_path}/nowhere.csv", home)


def test_an_address_of_another_kind_has_no_key(home: HomeLayout) -> None:
    with pytest.raises(ConfigError, match="s3://, whose package is not installed"):
        key_of("s3://bucket/t.csv", home)


def test_the_time_of_the_run_is_in_the_key_only_where_the_age_of_the_table_is_judged_by_it(home: HomeLayout) -> None:
    uri, cutoff = "example://retail", "2024-01-01T00:00:00Z"
    assert key_of(uri, home, max_age="6h", created=0) != key_of(uri, home, max_age="6h", created=3600)
    assert key_of(uri, home, created=0) == key_of(uri, home, created=3600)
    assert key_of(uri, home, max_age="6h", cutoff=cutoff, created=0) == key_of(
        uri, home, max_age="6h", cutoff=cutoff, created=3600
    )


def test_a_step_is_told_when_its_run_was_begun(home: HomeLayout) -> None:
    told = []

    def remember(settings, inputs, output, context) -> StepOutcome:
        told.append(context.created)
        return StepOutcome(True, "remembered")

    run = create_run(home, RunRecord("20260101T000000Z-toy", "toy", 1234.5, None, "digest"))
    document = {"name": "toy", "data": {}, "validation": {}, "forecast": {}, "features": {}, "split": {}}
    execute_step(
        StepName.VALIDATE_DATA, remember, json.dumps(document), {},
        home=str(home.root), run=run.name, cutoff="", capture=False,
    )  # fmt: skip
    assert told == [1234.5]


LEARNED = "learned from"


def settings_of(table: Path, *, max_gap: str | None = None):
    document = {
        "name": "toy", "data": {"uri": str(table)}, "validation": {"max_gap": max_gap}, "forecast": {}, "features": {},
        "split": {},
    }  # fmt: skip
    return STEP_SETTINGS[StepName.VALIDATE_DATA].model_validate_json(json.dumps(document))


def whole_key(table: Path, home: HomeLayout, *, cutoff: str | None = None, max_gap: str | None = None) -> KeyRecord:
    settings = settings_of(table, max_gap=max_gap)
    return step_key(StepName.VALIDATE_DATA, settings, cutoff=cutoff, parents={}, home=home, created=0.0)


def deploy(home: HomeLayout, tmp_path: Path, key: KeyRecord, *, name: str) -> int:
    """A run with a key of validate_data that published and promoted a version with its own series."""
    version_dir, store = tmp_path / f"{name}-version", tmp_path / f"{name}-store"
    for folder in (version_dir, store):
        folder.mkdir()
    (version_dir / "model.tflite").write_text(name)
    for file in ("schema.json", "index.parquet", "series.parquet"):
        (store / file).write_text(f"{file} of {name}")
    repository = ModelRepository(home.models)
    version = repository.publish("toy", version_dir)
    repository.keep_series("toy", version, store)
    repository.promote("toy", version)
    run = create_run(home, RunRecord(f"2026010{version}T000000Z-toy", "toy", float(version), None, "digest"))
    write_key(run, key)
    write_step(run, StepRecord(StepName.DEPLOY_MODEL, RunStatus.SUCCEEDED, started=0.0))
    run.step(StepName.DEPLOY_MODEL).mkdir()
    (run.step(StepName.DEPLOY_MODEL) / "deployment.json").write_text(json.dumps({"version": version}))
    return version


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "t.csv"
    path.write_text("time,load\n2024-01-01T00:00:00Z,1\n")
    return path


def test_without_a_champion_there_is_nothing_that_was_learned(home: HomeLayout, table: Path) -> None:
    assert whole_key(table, home).external[LEARNED] == "none"


def test_the_first_champion_leaves_the_key_of_its_own_table_as_it_was(
    home: HomeLayout, table: Path, tmp_path: Path
) -> None:
    before = whole_key(table, home)
    deploy(home, tmp_path, before, name="first")
    assert whole_key(table, home) == before


@pytest.mark.parametrize("change", ["rows", "cutoff", "settings"])
def test_what_differs_from_the_champions_run_is_keyed_by_the_champions_series(
    home: HomeLayout, table: Path, tmp_path: Path, change: str
) -> None:
    version = deploy(home, tmp_path, whole_key(table, home), name="first")
    if change == "rows":
        table.write_text("time,load\n2024-01-01T00:00:00Z,2\n")
    cutoff, max_gap = ("2024-01-01T00:00:00Z", None) if change == "cutoff" else (None, "6h")
    found = whole_key(table, home, cutoff=cutoff, max_gap=max_gap if change == "settings" else None)
    assert found.external[LEARNED] == ModelRepository(home.models).require_series("toy", version).name


def test_another_champion_changes_the_key_of_a_table_that_it_was_not_trained_on(
    home: HomeLayout, table: Path, tmp_path: Path
) -> None:
    deploy(home, tmp_path, whole_key(table, home), name="first")
    other = tmp_path / "other.csv"
    other.write_text("time,load\n2024-01-01T00:00:00Z,3\n")
    before = whole_key(other, home)
    table.write_text("time,load\n2024-01-01T00:00:00Z,2\n")
    deploy(home, tmp_path, whole_key(table, home), name="second")
    assert whole_key(other, home).digest != before.digest


def test_a_second_champion_keeps_what_its_table_was_compared_with(
    home: HomeLayout, table: Path, tmp_path: Path
) -> None:
    first = deploy(home, tmp_path, whole_key(table, home), name="first")
    table.write_text("time,load\n2024-01-01T00:00:00Z,2\n")
    compared = whole_key(table, home)
    deploy(home, tmp_path, compared, name="second")
    assert whole_key(table, home) == compared
    assert compared.external[LEARNED] == ModelRepository(home.models).require_series("toy", first).name


def test_after_a_rollback_the_series_of_the_first_champion_count_again(
    home: HomeLayout, table: Path, tmp_path: Path
) -> None:
    first = deploy(home, tmp_path, whole_key(table, home), name="first")
    table.write_text("time,load\n2024-01-01T00:00:00Z,2\n")
    deploy(home, tmp_path, whole_key(table, home), name="second")
    ModelRepository(home.models).rollback("toy")
    assert whole_key(table, home).external[LEARNED] == ModelRepository(home.models).require_series("toy", first).name


def test_a_run_whose_deployment_cannot_be_read_is_passed_over(home: HomeLayout, table: Path, tmp_path: Path) -> None:
    version = deploy(home, tmp_path, whole_key(table, home), name="first")
    (home.run("20260101T000000Z-toy").step(StepName.DEPLOY_MODEL) / "deployment.json").write_text("{")
    found = whole_key(table, home).external[LEARNED]
    assert found == ModelRepository(home.models).require_series("toy", version).name


def test_the_kept_forecasts_of_the_champion_are_in_the_key_of_its_comparison(home: HomeLayout, tmp_path: Path) -> None:
    folder = home.run("r1").step(StepName.EVALUATE_MODEL)
    folder.mkdir(parents=True)
    (folder / "scores.parquet").write_bytes(b"forecasts")
    write_manifest(folder, ArtifactKind.EVALUATION, parents={})
    version = tmp_path / "version"
    version.mkdir()
    (version / "model.tflite").write_bytes(b"model")
    repository = ModelRepository(home.models)
    repository.promote("toy", repository.publish("toy", version, {"run": "r1", "variant": "saved_model"}))
    document = {"name": "toy", "forecast": {}, "backtest": {}, "gates": PLACEHOLDER_GATES}
    settings = STEP_SETTINGS[StepName.EVALUATE_MODEL].model_validate_json(json.dumps(document))

    def found() -> str:
        key = step_key(
            StepName.EVALUATE_MODEL, settings, cutoff=None, parents={StepName.TRAIN_MODEL: "trained"}, home=home,
            created=0.0,
        )  # fmt: skip
        return key.external["champion's forecasts"]

    assert found() == digest_text("forecasts")
    (folder / "scores.parquet").write_bytes(b"forec")
    assert found() == "none"
