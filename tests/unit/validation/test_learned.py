"""The suite learned from the champion's training."""

import json
from dataclasses import replace

import numpy as np
import pytest

from components.validation.learned import compare
from components.validation.validate_data import validate_data
from forecasting.config.validation import LearnedConfig
from forecasting.monitoring.drift import psi
from forecasting.ranking import ValueSpool
from forecasting.repository import ModelRepository
from forecasting.schema import Series, SeriesSpec, SeriesStore, SplitSpec
from tests.unit.validation.tables import hourly_lines, write_table

RULES = ("learned_range", "learned_missing", "learned_rows", "learned_categories", "drift_psi", "drift_ks")
DAY_S = 86_400


def spool(values: np.ndarray) -> ValueSpool:
    found = ValueSpool()
    found.add(values.astype(np.float64))
    return found


def test_the_stability_index_is_that_by_hand():
    reference = spool(np.r_[np.zeros(50), np.ones(50)])
    current = spool(np.r_[np.zeros(25), np.ones(75)])
    # One edge at 1: shares 0.5, 0.5 against 0.25, 0.75; the bin below the edge at 0 is empty in both.
    expected = (0.25 - 0.5) * np.log(0.25 / 0.5) + (0.75 - 0.5) * np.log(0.75 / 0.5)
    assert psi(reference, current) == pytest.approx(expected)
    assert psi(reference, reference) == 0.0


def yearly_store(n_days: int, shift: float = 0.0, last_days: int = 28) -> SeriesStore:
    """A wave of one year in daily steps; its last days shifted."""
    days = np.arange(n_days)
    values = 50 + 30 * np.sin(2 * np.pi * days / 365.2425) + np.random.default_rng(2).normal(0, 1, n_days)
    values[-last_days:] += shift
    cutoff = n_days * DAY_S
    spec = SeriesSpec("y", (), (), (), {}, DAY_S, SplitSpec(cutoff - 56 * DAY_S, cutoff - 28 * DAY_S, cutoff))
    return SeriesStore(spec, (Series("a", 0, values[:, None]),))


def test_summer_is_compared_with_summer():
    champion = yearly_store(2 * 365)
    (same,) = compare(champion, yearly_store(2 * 365 + 180), LearnedConfig())
    assert same.reference == "the same weeks of the years before"
    assert same.psi < 0.35
    assert same.ks < 0.3
    (other,) = compare(champion, yearly_store(2 * 365 + 180, shift=15.0), LearnedConfig())
    assert other.psi > 0.35
    assert other.ks > 0.3


def test_a_table_that_does_not_go_on_after_the_champion_is_not_compared():
    assert compare(yearly_store(400), yearly_store(400, shift=50.0), LearnedConfig()) == ()


@pytest.fixture
def drift(make_settings, context, tmp_path):
    """Make 300 hours the champion's training, then validate other lines; gives the learned checks by rule."""

    def run(lines: list[str]) -> dict[str, dict]:
        (tmp_path / "first").mkdir()
        validate_data(
            make_settings(write_table(tmp_path / "a.csv", hourly_lines(300))), {}, tmp_path / "first", context
        )
        repository = ModelRepository(context.home.models)
        version = repository.publish("load", tmp_path / "first")
        repository.keep_series("load", version, tmp_path / "first")
        repository.promote("load", version)
        settings = make_settings(write_table(tmp_path / "b.csv", lines), validation={"learned": {"period": "4d"}})
        (tmp_path / "second").mkdir()
        outcome = validate_data(settings, {}, tmp_path / "second", replace(context))
        assert outcome.passed
        checks = json.loads((tmp_path / "second" / "report.json").read_text())["checks"]
        return {check["name"]: check for check in checks if check["name"] in RULES}

    return run


def test_the_same_table_again_is_compared_with_nothing(drift):
    assert drift(hourly_lines(300)) == {}


def test_a_table_that_goes_on_as_before_breaks_no_learned_rule(drift, tmp_path):
    lines = hourly_lines(420)
    cycle = [line.split(",")[1] for line in lines[:120]]
    lines[300:] = [f"{line.split(',')[0]},{load},1" for line, load in zip(lines[300:], cycle, strict=True)]
    checks = drift(lines)
    assert sorted(checks) == sorted(RULES)
    assert all(check["passed"] for check in checks.values()), checks
    assert (tmp_path / "second" / "data_docs" / "learned.html").is_file()


def test_ten_times_as_much_is_a_warning_of_range_and_drift(drift):
    lines = hourly_lines(420)
    lines[300:] = [f"{line.split(',')[0]},{7 * float(line.split(',')[1])},1" for line in lines[300:]]
    checks = drift(lines)
    assert {name for name, check in checks.items() if not check["passed"]} == {"learned_range", "drift_psi", "drift_ks"}
    assert "'load': psi is" in checks["drift_psi"]["message"]
    assert {check["severity"] for check in checks.values()} == {"warn"}
