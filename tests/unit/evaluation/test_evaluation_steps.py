"""Both evaluation steps on real models, a real series store and a real repository."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import flatbuffers
import pyarrow.parquet as pq
import pytest
from ai_edge_litert import schema_py_generated as schema

from components.evaluation.evaluate_compressed import evaluate_compressed
from components.evaluation.evaluate_model import evaluate_model
from forecasting.backtest.summary import read_backtest_report
from forecasting.config.compression import CompressionConfig
from forecasting.config.gates import CompressedGateConfig, GatesConfig, ModelGateConfig, ServingGateConfig
from forecasting.config.root import EvaluateCompressedSettings, EvaluateModelSettings
from forecasting.config.sections import BacktestConfig, ForecastConfig, ServingConfig
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.steps import StepName
from forecasting.errors import ArtifactError
from forecasting.features.spec import write_feature_spec
from forecasting.gates import read_decision
from forecasting.repository import ModelRepository
from forecasting.steps import StepContext
from forecasting.tournament import VariantRecord, VariantStatus, write_tournament
from tests.unit.backtest.tables import daily_wave, hourly_spec, hourly_store
from tests.unit.forecasting.series_stores import write_series_store

FORECAST = ForecastConfig(horizon=24, context=48, segment=24, seasons=(24, 48))
BACKTEST = BacktestConfig(stride=24, batch_size=2)
GATES = GatesConfig(
    model=ModelGateConfig(max_mae=0.5, max_rmse=0.6, max_naive_ratio=0.6, max_champion_ratio=1.02),
    compressed=CompressedGateConfig(max_mae=0.5, max_rmse=0.6),
    serving=ServingGateConfig(max_latency_ms=50, max_difference_ratio=1e-3),
)
COMPRESSION = CompressionConfig(max_accuracy_loss=0.02)
SPEC = hourly_spec(known=("Copy",))


@pytest.fixture
def context(tmp_path: Path) -> StepContext:
    home = HomeLayout(tmp_path / "home")
    return StepContext(home, home.run("run"))


@pytest.fixture
def inputs(tmp_path: Path, tiny_models: Mapping[str, Path]) -> dict[StepName, Path]:
    """Series store and the good model, as the steps before would have left them."""
    steps = {step: tmp_path / step.value for step in StepName}
    for directory in steps.values():
        directory.mkdir()
    demand = daily_wave(10)
    write_series_store(hourly_store({"Demand": [demand], "Copy": [demand]}), steps[StepName.VALIDATE_DATA])
    shutil.copytree(tiny_models["good"] / "saved_model", steps[StepName.TRAIN_MODEL] / "saved_model")
    write_feature_spec(SPEC, steps[StepName.TRAIN_MODEL] / "feature_spec.json")
    return steps


def publish_champion(context: StepContext, model: Path, *, lite: bool) -> None:
    version = context.home.root / "incoming"
    shutil.copytree(model / "saved_model", version)
    write_feature_spec(SPEC, version / "assets.extra/almanac_feature_spec.json")
    if lite:
        shutil.copy(model / "model.tflite", version / "model.tflite")
    repository = ModelRepository(context.home.models)
    repository.promote("demand", repository.publish("demand", version))


def run_evaluate_model(inputs: Mapping[StepName, Path], context: StepContext) -> tuple[bool, str]:
    settings = EvaluateModelSettings(name="demand", forecast=FORECAST, backtest=BACKTEST, gates=GATES)
    outcome = evaluate_model(settings, inputs, inputs[StepName.EVALUATE_MODEL], context)
    return outcome.passed, outcome.summary


def run_evaluate_compressed(inputs: Mapping[StepName, Path], context: StepContext, *, prefer: str = "latency") -> str:
    settings = EvaluateCompressedSettings(
        name="demand",
        forecast=FORECAST,
        backtest=BACKTEST,
        gates=GATES,
        compression=COMPRESSION,
        serving=ServingConfig(prefer=prefer),
    )
    outcome = evaluate_compressed(settings, inputs, inputs[StepName.EVALUATE_COMPRESSED], context)
    assert outcome.passed
    return outcome.summary


def add_variants(inputs: Mapping[StepName, Path], tiny_models: Mapping[str, Path], models: Mapping[str, str]) -> None:
    """Tournament of the float model and one built variant a name, each a copy of a tiny model."""
    folder = inputs[StepName.COMPRESS_MODEL]
    variants = [VariantRecord("saved_model", "", VariantStatus.BUILT, size_bytes=1_000, latency_p50_ms=2.0)]
    for number, (name, model) in enumerate(models.items(), start=1):
        path = folder / "variants" / name / "model.tflite"
        path.parent.mkdir(parents=True)
        shutil.copy(tiny_models[model] / "model.tflite", path)
        relative = path.relative_to(folder).as_posix()
        variants.append(
            VariantRecord(
                name,
                relative,
                VariantStatus.BUILT,
                size_bytes=1_000 // (number + 1),
                latency_p50_ms=1 / number,
                extreme_ratio=0.01,
            )
        )
    variants.append(VariantRecord("broken", "", VariantStatus.REJECTED, "the converter failed"))
    variants.append(VariantRecord("late", "", VariantStatus.LEFT_OUT, "no time was left"))
    write_tournament(variants, folder / "tournament.json")


def test_first_model_passes_against_the_naive_alone(inputs: dict[StepName, Path], context: StepContext) -> None:
    assert run_evaluate_model(inputs, context) == (True, "MAE 0.2500 (naive 1.0000, limit 0.5)")


@pytest.mark.parametrize("lite", [True, False])
def test_champion_is_scored_by_the_artefact_that_it_serves(
    inputs: dict[StepName, Path], context: StepContext, tiny_models: Mapping[str, Path], lite: bool
) -> None:
    publish_champion(context, tiny_models["worse"], lite=lite)
    passed, summary = run_evaluate_model(inputs, context)
    assert passed
    assert summary == "MAE 0.2500 (naive 1.0000, champion 0.3500, limit 0.5)"
    assert json.loads((inputs[StepName.EVALUATE_MODEL] / "report.json").read_text())["champion_version"] == 1


def test_damaged_champion_leaves_the_verdict_to_a_person_and_says_so(
    inputs: dict[StepName, Path], context: StepContext, tiny_models: Mapping[str, Path]
) -> None:
    publish_champion(context, tiny_models["worse"], lite=True)
    (context.home.models / "demand/1/model.tflite").write_bytes(b"damaged")
    passed, summary = run_evaluate_model(inputs, context)
    assert passed
    assert "waits for approval" in summary
    assert "champion version 1 cannot be scored" in summary


def test_variant_within_its_limits_ships_and_the_reason_says_why(
    inputs: dict[StepName, Path], context: StepContext, tiny_models: Mapping[str, Path]
) -> None:
    run_evaluate_model(inputs, context)
    add_variants(inputs, tiny_models, {"tflite_float32": "good", "tflite_int8": "close"})
    summary = run_evaluate_compressed(inputs, context)
    decision = read_decision(inputs[StepName.EVALUATE_COMPRESSED] / "decision.json")
    assert decision.variant == "tflite_int8"
    assert "MAE 0.2520, 0.80 % above the float model's 0.2500, 3.0 × smaller, 4.0 × faster" in decision.reason
    assert summary == f"ships {decision.reason}"
    metrics = read_backtest_report(inputs[StepName.EVALUATE_COMPRESSED] / "metrics.json")
    assert list(metrics.models) == ["saved_model", "tflite_float32", "tflite_int8"]


def test_variant_that_loses_too_much_is_left_behind_and_named(
    inputs: dict[StepName, Path], context: StepContext, tiny_models: Mapping[str, Path]
) -> None:
    run_evaluate_model(inputs, context)
    add_variants(inputs, tiny_models, {"tflite_float32": "good", "tflite_int8": "worse"})
    run_evaluate_compressed(inputs, context)
    report = json.loads((inputs[StepName.EVALUATE_COMPRESSED] / "report.json").read_text())
    assert report["variant"] == "tflite_float32"
    assert report["outcomes"]["tflite_int8"].startswith("max_accuracy_loss fails: 0.4000, must be <= 0.02")
    assert report["outcomes"]["broken"] == "rejected: the converter failed"
    assert report["outcomes"]["late"] == "left out: no time was left"


def test_variant_that_computes_nonsense_is_left_behind_as_not_sane(
    inputs: dict[StepName, Path], context: StepContext, tiny_models: Mapping[str, Path]
) -> None:
    run_evaluate_model(inputs, context)
    add_variants(inputs, tiny_models, {"tflite_float32": "good", "tflite_int8": "far"})
    run_evaluate_compressed(inputs, context)
    output = inputs[StepName.EVALUATE_COMPRESSED]
    outcome = json.loads((output / "report.json").read_text())["outcomes"]["tflite_int8"]
    assert outcome.startswith("max_range_ratio fails: ")
    rules = [rule.rule for rule in read_decision(output / "decision.json").rules if rule.role == "tflite_int8"]
    assert rules[:4] == ["max_missing_ratio", "max_nonfinite_ratio", "max_crossed_ratio", "max_range_ratio"]


def test_variants_that_cannot_be_loaded_or_asked_are_left_behind_as_failed_and_the_others_go_on(
    inputs: dict[StepName, Path], context: StepContext, tiny_models: Mapping[str, Path]
) -> None:
    run_evaluate_model(inputs, context)
    add_variants(inputs, tiny_models, {"tflite_float32": "good", "tflite_int8": "close", "tflite_float16": "good"})
    folder = inputs[StepName.COMPRESS_MODEL] / "variants"
    (folder / "tflite_float32/model.tflite").write_bytes(b"damaged")
    (folder / "tflite_float16/model.tflite").write_bytes(with_another_column(folder / "tflite_float16/model.tflite"))
    run_evaluate_compressed(inputs, context)
    output = inputs[StepName.EVALUATE_COMPRESSED]
    outcomes = json.loads((output / "report.json").read_text())["outcomes"]
    assert outcomes["tflite_int8"] == "shipped"
    assert "model.tflite must be a TensorFlow Lite model" in outcomes["tflite_float32"]
    assert outcomes["tflite_float16"].startswith("failed: ")
    assert outcomes["tflite_float32"].startswith("failed: ")
    assert list(read_backtest_report(output / "metrics.json").models) == ["saved_model", "tflite_int8"]


def with_another_column(path: Path) -> bytes:
    """A model that loads, and that expects one column more than a window has."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    graph = model.subgraphs[0]
    for number in graph.inputs:
        tensor = graph.tensors[number]
        tensor.shape = [*tensor.shape[:-1], tensor.shape[-1] + 1]
        if tensor.shapeSignature is not None:
            tensor.shapeSignature = [*tensor.shapeSignature[:-1], tensor.shapeSignature[-1] + 1]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def test_float_model_ships_where_no_variant_passes(
    inputs: dict[StepName, Path], context: StepContext, tiny_models: Mapping[str, Path]
) -> None:
    run_evaluate_model(inputs, context)
    add_variants(inputs, tiny_models, {"tflite_int8": "worse"})
    summary = run_evaluate_compressed(inputs, context)
    assert summary.startswith(
        "ships saved_model: no compressed variant passed its gate (tflite_int8: max_accuracy_loss fails: 0.4000"
    )
    assert "late: left out: no time was left" in summary


def test_tournament_without_variants_ships_the_float_model(
    inputs: dict[StepName, Path], context: StepContext, tiny_models: Mapping[str, Path]
) -> None:
    run_evaluate_model(inputs, context)
    add_variants(inputs, tiny_models, {})
    run_evaluate_compressed(inputs, context)
    assert read_decision(inputs[StepName.EVALUATE_COMPRESSED] / "decision.json").variant == "saved_model"
    assert pq.read_table(inputs[StepName.EVALUATE_COMPRESSED] / "scores.parquet").num_rows == 0


def test_variants_scored_on_other_steps_than_the_float_model_are_an_error(
    inputs: dict[StepName, Path], context: StepContext, tiny_models: Mapping[str, Path]
) -> None:
    run_evaluate_model(inputs, context)
    add_variants(inputs, tiny_models, {})
    settings = EvaluateCompressedSettings(
        name="demand",
        forecast=FORECAST,
        backtest=BacktestConfig(stride=48),
        gates=GATES,
        compression=COMPRESSION,
        serving=ServingConfig(),
    )
    with pytest.raises(ArtifactError, match="72 steps of evaluate_model, this backtest has 48"):
        evaluate_compressed(settings, inputs, inputs[StepName.EVALUATE_COMPRESSED], context)


def test_tournament_that_does_not_begin_with_the_float_model_is_an_error(
    inputs: dict[StepName, Path], context: StepContext, tiny_models: Mapping[str, Path]
) -> None:
    run_evaluate_model(inputs, context)
    variant = VariantRecord("tflite_int8", "x", VariantStatus.BUILT)
    write_tournament([variant], inputs[StepName.COMPRESS_MODEL] / "tournament.json")
    with pytest.raises(ArtifactError, match="must begin with saved_model"):
        run_evaluate_compressed(inputs, context)


def test_evaluate_compressed_needs_no_tensorflow() -> None:
    code = "import sys, components.evaluation.evaluate_compressed; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
