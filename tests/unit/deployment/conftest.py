import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forecasting.backtest.summary import BacktestReport, ModelReport, write_backtest_report
from forecasting.config.gates import CompressedGateConfig, GatesConfig, ModelGateConfig, ServingGateConfig
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.steps import StepName
from forecasting.features.spec import write_feature_spec
from forecasting.gates import Direction, GateDecision, GateResult, write_decision
from forecasting.schema import Series, SeriesSpec, SeriesStore, SplitSpec
from forecasting.steps import StepContext
from forecasting.tournament import VariantRecord, VariantStatus, write_tournament
from tests.unit.forecasting.series_stores import write_series_store
from tests.unit.serving import tiny_models

N_STEPS = 60
GATES = GatesConfig(
    model=ModelGateConfig(max_mae=1, max_rmse=1, max_naive_ratio=1, max_champion_ratio=1.02),
    compressed=CompressedGateConfig(max_mae=1, max_rmse=1),
    serving=ServingGateConfig(max_latency_ms=1000, max_difference_ratio=1e-4),
)


@pytest.fixture(scope="session")
def models(request: pytest.FixtureRequest) -> Path:
    """Folder of the tiny forecasters."""
    return tiny_models.build(request.config.cache.mkdir("tiny-models"))


@pytest.fixture
def context(tmp_path: Path) -> StepContext:
    """A run under a home of its own."""
    home = HomeLayout(tmp_path / "home")
    return StepContext(home=home, run=home.run("r1"))


@pytest.fixture
def parents(models: Path, tmp_path: Path) -> dict[StepName, Path]:
    """Outputs of the steps before validate_serving; the Lite model of factor 2 ships."""
    return write_parents(models, tmp_path / "run", variant="tflite_int8")


def write_parents(models: Path, root: Path, *, variant: str, lite_factor: int = 2) -> dict[StepName, Path]:
    folders = {step: root / step.value for step in StepName}
    for folder in folders.values():
        folder.mkdir(parents=True)
    write_series_store(_store(), folders[StepName.VALIDATE_DATA])
    train = folders[StepName.TRAIN_MODEL]
    shutil.copytree(models / "saved" / "2", train / "saved_model")
    write_feature_spec(tiny_models.SPEC, train / "feature_spec.json")
    compressed = folders[StepName.COMPRESS_MODEL]
    lite = compressed / "variants" / "tflite_int8" / "model.tflite"
    lite.parent.mkdir(parents=True)
    shutil.copyfile(models / "lite" / f"{lite_factor}.tflite", lite)
    write_tournament(
        [
            VariantRecord("saved_model", "", VariantStatus.BUILT),
            VariantRecord("tflite_int8", "variants/tflite_int8/model.tflite", VariantStatus.BUILT),
        ],
        compressed / "tournament.json",
    )
    rule = GateResult("max_mae", 0.5, 1.0, 0.5, True, variant, Direction.AT_MOST)
    decision = GateDecision(True, (rule,), "all 1 rules hold", variant)
    write_decision(decision, folders[StepName.EVALUATE_COMPRESSED] / "decision.json")
    write_decision(GateDecision(True, (rule,), "all 1 rules hold"), folders[StepName.EVALUATE_MODEL] / "decision.json")
    model = ModelReport({"mae": 0.5, "rmse": float("nan")}, {"mae": (0.4, 0.5, 0.6), "wape": (0.1, 0.1, 0.2)}, {})
    report = BacktestReport({"candidate": model, variant: model}, 4, 2, 24, "Demand", 0.8, {})
    for step in (StepName.EVALUATE_MODEL, StepName.EVALUATE_COMPRESSED):
        write_backtest_report(report, folders[step] / "metrics.json")
    return folders


def _store() -> SeriesStore:
    start = 1_388_534_400
    split = SplitSpec(start + 20 * 3600, start + 30 * 3600, start + N_STEPS * 3600)
    spec = SeriesSpec("Demand", (), ("Temperature",), (), {}, 3600, split)
    clock = np.arange(N_STEPS, dtype=np.float64)
    first = Series("a", start, np.column_stack([10 + np.sin(clock), 20 + clock % 5]))
    values = np.column_stack([30 + np.cos(clock), 5 + clock % 3])
    values[40, 0] = np.nan
    second = replace(first, id="b", values=values)
    return SeriesStore(spec, (first, second))
