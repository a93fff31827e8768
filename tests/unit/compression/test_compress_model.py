import json
import math
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from components.compression.compress_model import (
    MAX_FLOAT_RATIO,
    MAX_QUANTISED_MEAN_RATIO,
    compress_model,
    parity_problem,
    parity_windows,
)
from components.compression.measure import parity_ratios
from forecasting.config import step_settings
from forecasting.contracts.steps import StepName
from forecasting.feature_store import read_feature_store
from forecasting.neural.predictor import SavedModelPredictor
from forecasting.predictors import LitePredictor
from forecasting.series_store import read_series_store
from forecasting.steps import StepOutcome
from forecasting.tournament import VariantRecord, VariantStatus, read_tournament
from tests.unit.training.small_run import SmallRun, ensemble_config, make_small_run, small_config


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    run = make_small_run(tmp_path_factory.mktemp("compressed"))
    run.perform(StepName.TRAIN_MODEL, training={"refit": False})
    return run


def test_an_ensemble_goes_through_every_variant_and_its_lite_model_answers_the_same(tmp_path):
    run = make_small_run(tmp_path)
    config = ensemble_config(
        training={"max_epochs": 1, "refit": False},
        compression={"finetune_steps": 2, "n_parity_windows": 8, "max_accuracy_loss": 0.02},
    )
    run.perform_with(config, StepName.TRAIN_MODEL)
    step, output = StepName.COMPRESS_MODEL, run.directory(StepName.COMPRESS_MODEL)
    output.mkdir()
    compress_model(step_settings(config, step), run.inputs(step), output, run.context)

    assert {variant.name: variant.status for variant in variants_in(output).values()} == dict.fromkeys(
        ["saved_model", "tflite_float32", "tflite_int8_weights", "magnitude_50_tflite_int8_weights"],
        VariantStatus.BUILT,
    )
    store = read_feature_store(run.directory(StepName.BUILD_FEATURES))
    windows = parity_windows(read_series_store(run.directory(StepName.VALIDATE_DATA)), store, 8)
    expected = SavedModelPredictor(run.directory(StepName.TRAIN_MODEL) / "saved_model").predict(windows)
    lite = LitePredictor(output / "variants" / "tflite_float32" / "model.tflite").predict(windows)
    np.testing.assert_allclose(lite, expected, rtol=1e-3, atol=1e-3)


def compress(run: SmallRun, output: Path, **settings: object) -> StepOutcome:
    output.mkdir(exist_ok=True)
    chosen = {"max_accuracy_loss": 0.02, "finetune_steps": 5, "n_parity_windows": 8, **settings}
    config = small_config(training={"refit": False}, compression=chosen)
    step = StepName.COMPRESS_MODEL
    return compress_model(step_settings(config, step), run.inputs(step), output, run.context)


def variants_in(output: Path) -> dict[str, VariantRecord]:
    return {variant.name: variant for variant in read_tournament(output / "tournament.json")}


@pytest.fixture(scope="module")
def compressed(trained: SmallRun) -> tuple[Path, StepOutcome]:
    output = trained.folder / "compress_model"
    return output, compress(trained, output)


def test_every_variant_is_built_and_measured_beside_the_float_model(compressed):
    output, outcome = compressed
    variants = variants_in(output)
    assert list(variants) == [
        "saved_model",
        "tflite_float32",
        "tflite_int8_weights",
        "magnitude_50_tflite_int8_weights",
    ]
    assert {variant.status for variant in variants.values()} == {VariantStatus.BUILT}
    assert outcome.summary.startswith("4 variants, ")
    for name in ("tflite_float32", "tflite_int8_weights", "magnitude_50_tflite_int8_weights"):
        path = output / variants[name].path
        assert path == output / "variants" / name / "model.tflite"
        assert variants[name].size_bytes == path.stat().st_size
        assert 0 < variants[name].latency_p50_ms <= variants[name].latency_p99_ms
        assert variants[name].forecasts_per_s > 0


def test_int8_is_smaller_than_float_and_half_of_a_pruned_model_is_zero(compressed):
    variants = variants_in(compressed[0])
    assert variants["tflite_int8_weights"].size_bytes < variants["saved_model"].size_bytes
    assert (
        variants["magnitude_50_tflite_int8_weights"].compressed_bytes < variants["tflite_int8_weights"].compressed_bytes
    )
    assert variants["tflite_int8_weights"].sparsity == 0
    assert variants["magnitude_50_tflite_int8_weights"].sparsity == pytest.approx(0.5, abs=0.02)


def test_the_report_names_the_seconds_of_every_variant(compressed):
    report = json.loads((compressed[0] / "report.json").read_text())
    assert set(report["durations_s"]) == {"tflite_float32", "tflite_int8_weights", "magnitude_50_tflite_int8_weights"}
    assert report["n_parity_windows"] == 8


def test_variants_for_which_there_is_no_time_are_left_out_by_name(trained, tmp_path):
    outcome = compress(trained, tmp_path, time_budget_s=1e-6)
    variants = variants_in(tmp_path)
    left_out = [name for name, variant in variants.items() if variant.status is VariantStatus.LEFT_OUT]
    assert left_out == ["tflite_float32", "tflite_int8_weights", "magnitude_50_tflite_int8_weights"]
    assert "compression.time_budget_s" in variants["tflite_int8_weights"].reason
    assert outcome.reusable is False
    assert outcome.summary.endswith(
        "tflite_float32 left out; tflite_int8_weights left out; magnitude_50_tflite_int8_weights left out"
    )
    assert not (tmp_path / "variants").exists()


def test_a_conversion_that_computes_nothing_but_nan_is_rejected(trained, tmp_path):
    spoiled = SmallRun(Path(shutil.copytree(trained.folder, tmp_path / "spoiled")))
    with h5py.File(spoiled.directory(StepName.TRAIN_MODEL) / "model.weights.h5", "r+") as file:
        file.visititems(spoil)
    compress(spoiled, tmp_path / "output", variants=["tflite_float32", "tflite_int8_weights"])
    variants = variants_in(tmp_path / "output")
    assert variants["saved_model"].status is VariantStatus.BUILT
    assert variants["tflite_float32"].status is VariantStatus.REJECTED
    assert variants["tflite_int8_weights"].status is VariantStatus.REJECTED
    assert "from the float model" in variants["tflite_float32"].reason
    assert "NaN" not in (tmp_path / "output" / "tournament.json").read_text()


def spoil(_name: str, node: h5py.Group | h5py.Dataset) -> None:
    if isinstance(node, h5py.Dataset) and node.ndim == 2:
        node.write_direct(np.full(node.shape, np.nan, node.dtype))


def test_a_conversion_that_lost_its_largest_weights_is_another_model(trained, compressed, tmp_path):
    output = compressed[0]
    whole = output / "variants" / "tflite_float32" / "model.tflite"
    model = schema.ModelT.InitFromPackedBuf(whole.read_bytes(), 0)
    largest = max((buffer for buffer in model.buffers if buffer.data is not None), key=lambda buffer: len(buffer.data))
    largest.data = np.zeros_like(largest.data)
    flatbuffer_utils.write_model(model, str(tmp_path / "model.tflite"))
    windows = parity_windows(
        read_series_store(trained.directory(StepName.VALIDATE_DATA)),
        read_feature_store(trained.directory(StepName.BUILD_FEATURES)),
        8,
    )
    expected = SavedModelPredictor(trained.directory(StepName.TRAIN_MODEL) / "saved_model").predict(windows)
    same = parity_ratios(LitePredictor(whole).predict(windows), expected)
    other = parity_ratios(LitePredictor(tmp_path / "model.tflite").predict(windows), expected)
    assert parity_problem(*same, quantised=False) == ""
    assert parity_problem(*other, quantised=False).startswith("largest difference ")


@pytest.mark.parametrize(
    ("largest", "mean", "quantised", "passes"),
    [
        (MAX_FLOAT_RATIO, 0.0, False, True),
        (math.nextafter(MAX_FLOAT_RATIO, 1), 0.0, False, False),
        (math.nan, 0.0, False, False),
        (1.0, MAX_QUANTISED_MEAN_RATIO, True, True),
        (1.0, math.nextafter(MAX_QUANTISED_MEAN_RATIO, 1), True, False),
        (1.0, math.nan, True, False),
        (math.inf, math.inf, True, False),
    ],
)
def test_parity_holds_up_to_its_limit_and_never_for_nan(largest, mean, quantised, passes):
    assert (parity_problem(largest, mean, quantised=quantised) == "") is passes


def test_parity_ratios_are_shares_of_the_mean_forecast():
    expected = np.array([[[10.0], [30.0]]], dtype=np.float32)
    found = np.array([[[12.0], [30.0]]], dtype=np.float32)
    assert parity_ratios(found, expected) == pytest.approx((0.1, 0.05))


def test_one_nan_in_a_forecast_makes_its_ratios_nan():
    expected = np.array([[[10.0], [30.0]]], dtype=np.float32)
    found = np.array([[[np.nan], [30.0]]], dtype=np.float32)
    assert all(math.isnan(ratio) for ratio in parity_ratios(found, expected))
