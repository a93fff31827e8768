"""The key of validate_data: the table itself, however its address is written, and the time where its age counts."""

import json
from pathlib import Path

import pytest

from forecasting.cache import step_key
from forecasting.config.root import STEP_SETTINGS
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.steps import StepName
from forecasting.errors import ConfigError, DataError
from forecasting.execution import execute_step
from forecasting.runs import RunRecord, create_run
from forecasting.steps import StepOutcome


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
