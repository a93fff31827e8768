import json
import logging
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from components.compression.compress_model import compress_model
from components.compression.parity import parity_problem, parity_spec
from forecasting.config import step_settings
from forecasting.config.root import AlmanacConfig
from forecasting.contracts.steps import StepName
from forecasting.feature_store import read_feature_store
from forecasting.neural.predictor import SavedModelPredictor
from forecasting.parity import differences
from forecasting.predictors import LitePredictor
from forecasting.series_store import read_series_store
from forecasting.steps import StepOutcome
from forecasting.tournament import VariantRecord, VariantStatus, read_tournament
from forecasting.variants import Precision
from tests.unit.training.small_run import (
    LINEAR,
    SmallRun,
    config_of,
    ensemble_config,
    make_small_run,
    small_config,
)

NAMES = (
    "tflite_float32", "tflite_int8_weights", "structured_tflite_int8_weights", "magnitude_50_tflite_int8_weights",
)  # fmt: skip
SMALL = {
    "variants": NAMES, "max_accuracy_loss": 10.0, "finetune_steps": 5, "structured_steps": 2, "structured_rounds": 1,
    "n_parity_windows": 8, "time_budget_s": 3600,
}  # fmt: skip
"""Any loss is allowed: what is pruned here has hardly been trained. Time lasts on however busy a machine."""
WIDER = {"units": 24}
"""So that products of the narrowed network, too, have weights enough to be quantised."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    run = make_small_run(tmp_path_factory.mktemp("compressed"))
    run.perform(StepName.TRAIN_MODEL, training={"refit": False}, model=WIDER)
    return run


def test_an_ensemble_goes_through_every_variant_and_its_lite_model_answers_the_same(tmp_path):
    run = make_small_run(tmp_path)
    config = ensemble_config(
        training={"max_epochs": 1, "refit": False},
        compression=SMALL,
    )
    run.perform_with(config, StepName.TRAIN_MODEL)
    output = run.directory(StepName.COMPRESS_MODEL)
    output.mkdir()
    compress_with(config, run, output)

    assert {variant.name: variant.status for variant in variants_in(output).values()} == dict.fromkeys(
        ["saved_model", *NAMES],
        VariantStatus.BUILT,
    )
    store = read_feature_store(run.directory(StepName.BUILD_FEATURES))
    windows = parity_spec(read_series_store(run.directory(StepName.VALIDATE_DATA)), store, 8).real
    expected = SavedModelPredictor(run.directory(StepName.TRAIN_MODEL) / "saved_model").predict(windows)
    lite = LitePredictor(output / "variants" / "tflite_float32" / "model.tflite").predict(windows)
    np.testing.assert_allclose(lite, expected, rtol=1e-3, atol=1e-3)


def compress(run: SmallRun, output: Path, *, kept: bool = False, **settings: object) -> StepOutcome:
    """Run the step; `kept`: with what an earlier one left when it was stopped."""
    output.mkdir(exist_ok=True)
    if not kept:
        shutil.rmtree(run.context.run.checkpoint(StepName.COMPRESS_MODEL), ignore_errors=True)
    chosen = {**SMALL, **settings}
    return compress_with(small_config(training={"refit": False}, compression=chosen, model=WIDER), run, output)


def compress_with(config: AlmanacConfig, run: SmallRun, output: Path) -> StepOutcome:
    """Run the step with a whole configuration."""
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
    assert list(variants) == ["saved_model", *NAMES]
    assert {variant.status for variant in variants.values()} == {VariantStatus.BUILT}
    assert outcome.summary.startswith("5 variants, ")
    for name in NAMES:
        path = output / variants[name].path
        assert path == output / "variants" / name / "model.tflite"
        assert variants[name].size_bytes == path.stat().st_size
        assert 0 < variants[name].latency_p50_ms <= variants[name].latency_p99_ms
        assert variants[name].forecasts_per_s > 0
        assert variants[name].forecasts_per_s_32 > 0
        assert variants[name].forecasts_per_s_256 > 0
        assert variants[name].load_s > 0
        assert variants[name].peak_memory_bytes > 0
        assert variants[name].extreme_windows in ("random", "zeros", "constants", "missing", "scaled")


def test_int8_is_smaller_than_float_and_half_of_a_pruned_model_is_zero(compressed):
    variants = variants_in(compressed[0])
    assert variants["tflite_int8_weights"].size_bytes < variants["saved_model"].size_bytes
    assert (
        variants["magnitude_50_tflite_int8_weights"].compressed_bytes < variants["tflite_int8_weights"].compressed_bytes
    )
    assert variants["tflite_int8_weights"].sparsity == 0
    assert variants["magnitude_50_tflite_int8_weights"].sparsity == pytest.approx(0.5, abs=0.02)


def test_structured_pruning_makes_a_narrower_network_and_a_smaller_file(compressed):
    variants = variants_in(compressed[0])
    narrow, whole = variants["structured_tflite_int8_weights"], variants["tflite_int8_weights"]
    assert narrow.n_parameters < whole.n_parameters == variants["magnitude_50_tflite_int8_weights"].n_parameters
    assert narrow.size_bytes < whole.size_bytes


def test_without_a_narrower_network_inside_the_limit_structured_variants_are_rejected_at_once_and_say_so(
    tmp_path, caplog
):
    caplog.set_level(logging.INFO)
    run, output = make_small_run(tmp_path / "run"), tmp_path / "variants"
    names = ("structured_tflite_float32", "structured_tflite_float16", "structured_magnitude_50_tflite_float32")
    chosen = {**SMALL, "variants": names, "max_accuracy_loss": 0.0, "structured_steps": 1}
    config = config_of(LINEAR, training={"refit": False}, compression=chosen)
    run.perform_with(config, StepName.TRAIN_MODEL)
    output.mkdir()
    compress_with(config, run, output)
    variants = variants_in(output)
    for name in names:
        assert (variants[name].status, variants[name].path) == (VariantStatus.REJECTED, "")
        assert variants[name].reason.startswith("no units could be taken out within compression.max_accuracy_loss")
    rounds = [record for record in caplog.records if record.getMessage().startswith("structured pruning: ")]
    assert len(rounds) == 1


def test_a_network_that_can_lose_no_unit_does_without_its_idle_inputs(trained, tmp_path):
    compress(trained, tmp_path, variants=["structured_tflite_float32"], max_accuracy_loss=0.0, structured_steps=1)
    variant = variants_in(tmp_path)["structured_tflite_float32"]
    assert variant.status is VariantStatus.BUILT
    assert "with all units, of which the first round lost" in variant.note


def test_fine_tuning_for_int8_makes_a_variant_of_its_own(trained, tmp_path):
    compress(trained, tmp_path, variants=["tflite_int8_aware"], finetune_steps=2)
    assert variants_in(tmp_path)["tflite_int8_aware"].status is VariantStatus.BUILT


def test_what_the_profile_leaves_out_is_named_in_the_report(trained, tmp_path):
    compress(trained, tmp_path, variants=None, time_budget_s=1e-6)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["left_out"]["magnitude_70_tflite_int8_weights"] == "not in compression.profile quick"


def test_the_report_names_the_seconds_of_every_variant(compressed):
    report = json.loads((compressed[0] / "report.json").read_text())
    assert set(report["durations_s"]) == set(NAMES)
    assert report["n_parity_windows"] == 8


def test_variants_for_which_there_is_no_time_are_left_out_by_name(trained, tmp_path):
    outcome = compress(trained, tmp_path, time_budget_s=1e-6)
    variants = variants_in(tmp_path)
    left_out = [name for name, variant in variants.items() if variant.status is VariantStatus.LEFT_OUT]
    assert left_out == list(NAMES)
    assert variants["tflite_int8_weights"].reason.startswith("0 s of compression.time_budget_s left, it would")
    assert variants["tflite_int8_weights"].reason.endswith("and measuring takes 3 s at the end")
    assert outcome.reusable is False
    assert outcome.summary.endswith("; ".join(f"{name} left out" for name in NAMES))
    assert not (tmp_path / "variants").exists()


def test_what_computes_nothing_but_nan_is_rejected_by_name_in_every_form_and_the_tournament_goes_on(trained, tmp_path):
    spoiled = SmallRun(Path(shutil.copytree(trained.folder, tmp_path / "spoiled")))
    with h5py.File(spoiled.directory(StepName.TRAIN_MODEL) / "model.weights.h5", "r+") as file:
        file.visititems(spoil)
    names = ["tflite_float32", "tflite_int8_weights"]
    outcome = compress(spoiled, tmp_path / "output", variants=names, also_export=["onnx"])
    variants = variants_in(tmp_path / "output")
    assert variants["saved_model"].status is VariantStatus.BUILT
    assert variants["tflite_float32"].status is VariantStatus.REJECTED
    assert variants["tflite_int8_weights"].status is VariantStatus.REJECTED
    assert variants["tflite_float32"].reason == "real windows: no number from the float model is finite"
    assert "NaN" not in (tmp_path / "output" / "tournament.json").read_text()
    reason = "the model answers no window with a number, so that no export can be compared with it"
    assert json.loads((tmp_path / "output" / "report.json").read_text())["exports"] == {"onnx": reason}
    assert outcome.summary.endswith(f"; onnx refused: {reason}")
    assert not (tmp_path / "output" / "exports").exists()


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
    windows = parity_spec(
        read_series_store(trained.directory(StepName.VALIDATE_DATA)),
        read_feature_store(trained.directory(StepName.BUILD_FEATURES)),
        8,
    ).real
    expected = SavedModelPredictor(trained.directory(StepName.TRAIN_MODEL) / "saved_model").predict(windows)
    same = differences(LitePredictor(whole).predict(windows), expected)
    other = differences(LitePredictor(tmp_path / "model.tflite").predict(windows), expected)
    assert parity_problem(same, precision=Precision.FLOAT32) == ""
    assert parity_problem(other, precision=Precision.FLOAT32).startswith("largest difference ")


def test_a_run_that_was_stopped_goes_on_with_the_variants_and_the_pruned_weights_that_it_had_made(trained, tmp_path):
    made = ["tflite_int8_weights", "magnitude_50_tflite_int8_weights"]
    compress(trained, tmp_path / "stopped", variants=made)
    kept = trained.context.run.checkpoint(StepName.COMPRESS_MODEL)
    files = [kept / name / "model.tflite" for name in made] + [kept / "magnitude_50.npz"]
    before = [file.stat().st_mtime_ns for file in files]
    first = variants_in(tmp_path / "stopped")

    compress(trained, tmp_path / "whole", kept=True, variants=[*made, "magnitude_50_tflite_float32"])
    variants = variants_in(tmp_path / "whole")
    assert [file.stat().st_mtime_ns for file in files] == before
    assert [variants[name].build_s for name in made] == [first[name].build_s for name in made]
    assert variants["magnitude_50_tflite_float32"].status is VariantStatus.BUILT
    assert variants["magnitude_50_tflite_float32"].sparsity == first["magnitude_50_tflite_int8_weights"].sparsity
    for name in made:
        shipped = (tmp_path / "whole" / variants[name].path).read_bytes()
        assert shipped == (tmp_path / "stopped" / first[name].path).read_bytes()


def test_a_variant_whose_record_was_not_written_is_made_again(trained, tmp_path):
    compress(trained, tmp_path / "stopped", variants=["tflite_int8_weights"])
    kept = trained.context.run.checkpoint(StepName.COMPRESS_MODEL) / "tflite_int8_weights"
    (kept / "record.json").unlink()
    (kept / "model.tflite").write_bytes(b"half")
    compress(trained, tmp_path / "whole", kept=True, variants=["tflite_int8_weights"])
    assert variants_in(tmp_path / "whole")["tflite_int8_weights"].status is VariantStatus.BUILT


def test_time_that_was_spent_before_a_run_was_stopped_counts(trained, tmp_path):
    compress(trained, tmp_path / "stopped", variants=["tflite_float32"])
    clock = trained.context.run.checkpoint(StepName.COMPRESS_MODEL) / "clock.json"
    assert json.loads(clock.read_text())["spent_s"] > 0
    clock.write_text(json.dumps({"spent_s": 500.0}))
    compress(
        trained, tmp_path / "whole", kept=True, variants=["tflite_float32", "tflite_int8_weights"], time_budget_s=400
    )
    variants = variants_in(tmp_path / "whole")
    assert variants["tflite_float32"].status is VariantStatus.BUILT
    assert variants["tflite_int8_weights"].status is VariantStatus.LEFT_OUT
