"""Fits of a blocked cross-validation: nothing that one learns hangs on the target outside of its block."""

from pathlib import Path

import numpy as np
import pytest

from forecasting.backtest.blocks import BlockSpec
from forecasting.backtest.folds import FoldSpec
from forecasting.config import load_config
from forecasting.contracts.artifacts import FEATURE_SPEC_FILE, PLANES_FILE
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.steps import StepName
from forecasting.schema import SplitSpec
from pipelines.fits import FitSpec, block_config, fold_config, make_fit
from tests.integration.load_home import FIRST_HOUR, load_rows, make_home, write_rows

pytestmark = pytest.mark.slow

BEGIN = int(FIRST_HOUR.timestamp())
TRAIN_FROM_H, FOLD_H, END_H = 60 * 24, 90 * 24, 100 * 24
BLOCK = BlockSpec(BEGIN + TRAIN_FROM_H * 3_600, FoldSpec(2, BEGIN + FOLD_H * 3_600, BEGIN + END_H * 3_600, BEGIN + FOLD_H * 3_600))  # fmt: skip


def features(folder: Path, changed: range) -> Path:
    """What build_features makes for the block, where the load of some hours is another one."""
    folder.mkdir()
    home, rows = make_home(folder), load_rows()
    for hour in changed:
        rows[hour]["load"] = f"{1.1 * float(rows[hour]['load']) + 20:.3f}"
    write_rows(rows, folder / "load.csv")
    config = load_config(home.config, [f"data.uri={folder / 'load.csv'}"])
    fold_s = (END_H - FOLD_H) * 3_600
    fitted = fold_config(config, SplitSpec(BLOCK.fold.start - fold_s, BLOCK.fold.start, BLOCK.fold.end), 3_600)
    made = make_fit(
        block_config(fitted, BLOCK, BEGIN), HomeLayout(home.home), FitSpec(BLOCK.fold.start, StepName.BUILD_FEATURES)
    )
    return made.step(StepName.BUILD_FEATURES)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return features(tmp_path_factory.mktemp("blocks") / "as-it-is", range(0))


@pytest.mark.parametrize("changed", [range(TRAIN_FROM_H), range(FOLD_H, 120 * 24)], ids=["before", "fold and after"])
def test_a_fit_is_the_same_whatever_the_target_is_outside_of_its_block(
    found: Path, tmp_path: Path, changed: range
) -> None:
    other = features(tmp_path / "changed", changed)
    assert (other / FEATURE_SPEC_FILE).read_bytes() == (found / FEATURE_SPEC_FILE).read_bytes()
    np.testing.assert_array_equal(np.load(other / PLANES_FILE), np.load(found / PLANES_FILE))


def test_the_target_of_its_block_is_what_a_fit_learns_from(found: Path, tmp_path: Path) -> None:
    other = features(tmp_path / "changed", range(TRAIN_FROM_H, FOLD_H))
    assert (other / FEATURE_SPEC_FILE).read_bytes() != (found / FEATURE_SPEC_FILE).read_bytes()
