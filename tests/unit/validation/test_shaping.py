"""Wide tables and categorical covariates become rows of numbers."""

import numpy as np
import pytest

from components.validation.validate_data import validate_data
from forecasting.config import parse_config
from forecasting.errors import ConfigError, DataError
from forecasting.series_store import read_series_store
from forecasting.steps import StepContext
from tests.unit.validation.conftest import GATES
from tests.unit.validation.tables import hourly_lines, write_table

N_HOURS = 24 * 10


def run(settings, context, tmp_path, cutoff=None):
    output = tmp_path / "out"
    output.mkdir(exist_ok=True)
    outcome = validate_data(settings, {}, output, StepContext(context.home, context.run, cutoff))
    return outcome, read_series_store(output)


def wide_lines(header_value=lambda i: f"{50 + i % 24}") -> list[str]:
    """Time, a first meter, a second one that begins on the third day, and the temperature of both."""
    lines = []
    for i, line in enumerate(hourly_lines(N_HOURS)):
        time, load, temperature = line.split(",")
        lines.append(f"{time},{load},{header_value(i) if i >= 48 else ''},{temperature}")
    return lines


def test_a_wide_table_becomes_a_series_for_each_column(make_settings, context, tmp_path):
    uri = write_table(tmp_path / "t.csv", wide_lines(), "time,MT_001,MT_002,temperature")
    wide = {"layout": "wide", "series_columns": ["MT_*"], "observed": ["temperature"]}
    outcome, store = run(make_settings(uri, data=wide, validation={"data_docs": False}), context, tmp_path)
    assert outcome.passed, outcome.summary
    first, second = store
    assert (first.id, second.id) == ("MT_001", "MT_002")
    assert second.start - first.start == 48 * 3600
    assert second.values[0].tolist() == [50.0, first.values[48, 1]]
    assert len(first.values) == N_HOURS


def test_a_value_that_cannot_be_read_is_named_with_line_and_column(make_settings, context, tmp_path):
    lines = wide_lines(lambda i: "x" if i == 60 else "1")
    uri = write_table(tmp_path / "t.csv", lines, "time,MT_001,MT_002,temperature")
    wide = {"layout": "wide", "series_columns": ["MT_001", "MT_002"]}
    with pytest.raises(DataError, match=r"line 62, column MT_002 has 'x'"):
        run(make_settings(uri, data=wide), context, tmp_path)


def test_a_pattern_without_a_column_is_refused(make_settings, context, tmp_path):
    uri = write_table(tmp_path / "t.csv", wide_lines(), "time,MT_001,MT_002,temperature")
    with pytest.raises(DataError, match=r"must have a column 'meter_\*' as data\.series_columns names it"):
        run(make_settings(uri, data={"layout": "wide", "series_columns": ["meter_*"]}), context, tmp_path)


def categorical_lines(weather_of) -> list[str]:
    return [f"{line},{weather_of(i)}" for i, line in enumerate(hourly_lines(N_HOURS))]


def weather(i: int) -> str:
    return ("sun", "rain", "")[i % 3]


CATEGORICAL = {"observed": ["weather"], "known": ["temperature"], "categorical": ["weather"]}


def test_a_categorical_covariate_becomes_a_column_for_each_value(make_settings, context, tmp_path):
    uri = write_table(tmp_path / "t.csv", categorical_lines(weather), "time,load,temperature,weather")
    settings = make_settings(uri, data=CATEGORICAL, validation={"data_docs": False, "max_missing_ratio": 0.4})
    outcome, store = run(settings, context, tmp_path)
    assert outcome.passed, outcome.summary
    assert store.spec.observed == ("weather=rain", "weather=sun")
    np.testing.assert_array_equal(store.series[0].values[:3, 1:3], [[0, 1], [1, 0], [np.nan, np.nan]])


def test_categories_are_those_before_the_cutoff_and_a_later_value_is_none_of_them(make_settings, context, tmp_path):
    known = {"known": ["weather"], "categorical": ["weather"]}
    lines = categorical_lines(lambda i: "hail" if i >= 200 else ("sun", "rain")[i % 2])
    uri = write_table(tmp_path / "t.csv", lines, "time,load,temperature,weather")
    settings = make_settings(uri, data=known, validation={"data_docs": False})
    _, store = run(settings, context, tmp_path, cutoff="2024-01-09T08:00:00Z")
    assert store.spec.known == ("weather=rain", "weather=sun")
    assert store.series[0].values[199:202, 1:].tolist() == [[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    _, whole = run(settings, context, tmp_path)
    assert whole.spec.known == ("weather=hail", "weather=rain", "weather=sun")


def test_too_many_categories_are_refused_with_their_number(make_settings, context, tmp_path):
    uri = write_table(tmp_path / "t.csv", categorical_lines(lambda i: f"w{i % 51}"), "time,load,temperature,weather")
    with pytest.raises(DataError, match=r"'weather' must have 1 to 50 values, and it has 51"):
        run(make_settings(uri, data=CATEGORICAL), context, tmp_path)


@pytest.mark.parametrize(
    ("data", "features", "said"),
    [
        ({"categorical": ["weather"]}, {}, r"categorical names 'weather', which is none of known and observed"),
        ({"layout": "wide"}, {}, "a wide table has series_columns"),
        ({"layout": "wide", "series_columns": ["a"], "id_columns": ["b"]}, {}, "a wide table has series_columns"),
        ({"series_columns": ["a"]}, {}, "needs layout: wide"),
        ({"availability_lag": {"target": "2h"}}, {}, "availability_lag names 'target', which is none of observed"),
        ({"observed": ["a"], "availability_lag": {"a": "soon"}}, {}, "soon"),
        (
            {"known": ["w"], "categorical": ["w"]},
            {"derived": [{"kind": "lag", "column": "w"}]},
            "name a column w=VALUE",
        ),
    ],
)
def test_settings_that_do_not_fit_each_other_are_refused(data, features, said):
    with pytest.raises(ConfigError, match=said):
        parse_config(
            {"data": data, "features": features, "gates": GATES, "compression": {"max_accuracy_loss": 0.02}},
            source="test",
        )
