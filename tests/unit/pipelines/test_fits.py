"""The fits of a backtest: which configuration, which run."""

from pathlib import Path

import pytest

from forecasting.config import AlmanacConfig, load_config
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.steps import StepName
from forecasting.runs import load_run
from forecasting.schema import SplitSpec
from pipelines.fits import FitSpec, backtest_home, fold_config, open_fit
from tests.integration.load_home import CONFIG

DAY_S = 86_400
SPLIT = SplitSpec(train_end=0, validation_end=10 * DAY_S, cutoff=25 * DAY_S, embargo_s=DAY_S)


@pytest.fixture
def config(tmp_path: Path) -> AlmanacConfig:
    (tmp_path / "load.yaml").write_text(CONFIG)
    return load_config(tmp_path / "load.yaml")


def test_a_fit_validates_on_as_long_a_period_and_tests_on_none_longer_than_it_must(config: AlmanacConfig) -> None:
    split = fold_config(config, SPLIT, 3_600).split
    assert (split.validation, split.test, split.embargo) == (f"{10 * DAY_S}s", f"{2 * DAY_S}s", True)


def test_the_same_fit_is_the_same_run_and_another_cutoff_is_another(config: AlmanacConfig, tmp_path: Path) -> None:
    home = backtest_home(HomeLayout(tmp_path / "home"))
    first = open_fit(config, home, FitSpec(DAY_S, StepName.TRAIN_MODEL))
    again = open_fit(config, home, FitSpec(DAY_S, StepName.TRAIN_MODEL))
    other = open_fit(config, home, FitSpec(2 * DAY_S, StepName.TRAIN_MODEL))
    assert first.root == again.root
    assert first.root != other.root
    assert load_run(first).cutoff == "1970-01-02T00:00:00+00:00"


def test_what_comes_after_the_model_makes_no_other_fit(config: AlmanacConfig, tmp_path: Path) -> None:
    home = HomeLayout(tmp_path / "home")
    folds = config.model_copy(update={"backtest": config.backtest.model_copy(update={"folds": 9})})
    wider = config.model_copy(update={"training": config.training.model_copy(update={"max_epochs": 9})})
    names = [open_fit(one, home, FitSpec(DAY_S, StepName.TRAIN_MODEL)).name for one in (config, folds, wider)]
    assert names[0] == names[1]
    assert names[0] != names[2]
