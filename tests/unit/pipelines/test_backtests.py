"""Versions of the repository in a backtest."""

from pathlib import Path

import pytest

from forecasting.backtest.rolling import RollingSpec, open_rolling
from forecasting.config.sections import BacktestConfig
from forecasting.contracts.layout import HomeLayout
from forecasting.errors import ArtifactError
from pipelines.backtests import VersionSpec, forecast_versions
from tests.unit.backtest.tables import DAY_S, MONDAY, daily_wave, hourly_spec, hourly_store

CUTOFF = MONDAY + 20 * DAY_S
LATER = VersionSpec("champion", 3, known_until=CUTOFF)
"""Trained on all that the folds hold."""


@pytest.fixture
def rolling() -> RollingSpec:
    store = hourly_store({"Demand": [daily_wave(20)]}, n_test_days=2, n_days=20)
    return open_rolling(store, hourly_spec(), settings=BacktestConfig(folds=3))


def test_a_champion_that_nobody_asked_for_and_that_knows_all_folds_is_left_out_with_a_note(
    rolling: RollingSpec, tmp_path: Path
) -> None:
    found, notes = forecast_versions(HomeLayout(tmp_path), "demand", rolling, versions=[LATER], required=False)
    assert found == {}
    assert notes == [
        "champion (version 3) is left out: it was trained on values up to 1970-01-25 00:00 UTC, which all folds lie before"
    ]


def test_a_version_that_was_asked_for_is_not_left_out(rolling: RollingSpec, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=str(tmp_path)):
        forecast_versions(HomeLayout(tmp_path), "demand", rolling, versions=[LATER], required=True)
