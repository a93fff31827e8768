"""Networks of prunings: how their quantiles are calibrated, and what the validation period may say of them."""

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.compression.budget import BudgetClock
from components.compression.networks import NetworkShelf
from forecasting.config import step_settings
from forecasting.contracts.steps import StepName
from forecasting.feature_store import FeatureStore, learning_windows, read_feature_store, validation_windows
from forecasting.features.transform import removable_columns
from forecasting.neural.calibration import calibration_factors
from forecasting.neural.compression.kept_weights import read_kept
from forecasting.neural.scaled import predict_scaled
from forecasting.variants import Pruning
from tests.unit.training.small_run import SmallRun, make_small_run, small_config

COMPRESSION = {"max_accuracy_loss": 10.0, "finetune_steps": 3, "structured_steps": 2, "structured_rounds": 2}
"""Any loss is allowed: what is pruned here has hardly been trained."""


@pytest.fixture(scope="module")
def refitted(tmp_path_factory) -> SmallRun:
    run = make_small_run(tmp_path_factory.mktemp("refitted"))
    run.perform(StepName.TRAIN_MODEL, training={"max_epochs": 1})
    return run


@pytest.fixture(scope="module")
def store(refitted) -> FeatureStore:
    return read_feature_store(refitted.directory(StepName.BUILD_FEATURES))


def shelf_of(
    run: SmallRun, store: FeatureStore, folder, *, budget_s: float = 3600.0, **training: object
) -> NetworkShelf:
    folder.mkdir(exist_ok=True)
    config = small_config(training={"max_epochs": 1, **training}, compression=COMPRESSION)
    clock = BudgetClock(budget_s, folder / "clock.json", began=time.monotonic())
    settings = step_settings(config, StepName.COMPRESS_MODEL)
    return NetworkShelf(settings, store, run.directory(StepName.TRAIN_MODEL), kept=folder, clock=clock)


@pytest.fixture(scope="module")
def shelf(refitted, store, tmp_path_factory) -> NetworkShelf:
    return shelf_of(refitted, store, tmp_path_factory.mktemp("kept"))


def equal_weights(one, other) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def without_validation(store: FeatureStore) -> FeatureStore:
    """A store whose steps from the validation period on are all other ones."""
    first = int(store.index.offset[0]) + (store.split.train_end - int(store.index.start[0])) // store.spec.step_s
    planes = np.array(store.planes)
    planes[first:, 0] = 7.0
    return replace(store, planes=planes)


def found_again(network, store: FeatureStore) -> np.ndarray:
    scored = predict_scaled(network, store, validation_windows(store), 32)
    return np.asarray(calibration_factors(scored, scored["quantiles"], store, calibrate=True))


def trained_calibration(run: SmallRun) -> list[float]:
    return json.loads((run.directory(StepName.TRAIN_MODEL) / "model_spec.json").read_text())["calibration"]


@pytest.mark.parametrize("pruning", [Pruning.MAGNITUDE_50, Pruning.STRUCTURED, Pruning.STRUCTURED_MAGNITUDE_50])
def test_a_changed_network_is_calibrated_by_what_the_change_does_to_the_factors_of_the_training(
    pruning, shelf, store, refitted
):
    whole, changed = shelf.network(Pruning.NONE).module, shelf.network(pruning).module
    ratio = found_again(changed.network, store) / found_again(whole.network, store)
    np.testing.assert_allclose(changed.calibration.factors, ratio * trained_calibration(refitted), rtol=1e-3)
    assert np.abs(ratio - 1.0).max() > 1e-3


def test_the_network_as_it_was_trained_keeps_its_calibration(shelf, refitted):
    assert shelf.network(Pruning.NONE).module.calibration.factors == pytest.approx(trained_calibration(refitted))


def test_without_a_refit_a_changed_network_is_calibrated_exactly_as_the_training_does_it(tmp_path):
    run = make_small_run(tmp_path / "run")
    run.perform(StepName.TRAIN_MODEL, training={"max_epochs": 1, "refit": False})
    assert not (run.directory(StepName.TRAIN_MODEL) / "first_fit.weights.h5").exists()
    store = read_feature_store(run.directory(StepName.BUILD_FEATURES))
    changed = shelf_of(run, store, tmp_path / "kept", refit=False).network(Pruning.MAGNITUDE_50).module
    np.testing.assert_allclose(changed.calibration.factors, found_again(changed.network, store), rtol=1e-3)


@pytest.mark.parametrize("configured", [False, True])
def test_windows_that_were_learnt_from_follow_the_refit_of_the_training_not_the_configured_one(
    configured, refitted, store, tmp_path
):
    learnt = shelf_of(refitted, store, tmp_path, refit=configured).learnt()
    assert len(learnt) == len(learning_windows(store, with_validation=True))
    assert len(learnt) > len(learning_windows(store, with_validation=False))


def test_rounds_are_counted_with_a_network_that_has_seen_nothing_of_the_validation_period(
    shelf, refitted, store, tmp_path
):
    shelf.network(Pruning.STRUCTURED)
    shelf_of(refitted, without_validation(store), tmp_path).network(Pruning.STRUCTURED)
    seen, blind = (read_kept(folder / "held_round_0.npz") for folder in (shelf._kept, tmp_path))
    assert equal_weights(seen.weights, blind.weights)
    seen, blind = (read_kept(folder / "round_0.npz") for folder in (shelf._kept, tmp_path))
    assert not equal_weights(seen.weights, blind.weights)


def test_a_changed_network_and_its_calibration_are_kept_for_a_run_that_goes_on(shelf, refitted, store):
    made = shelf.network(Pruning.STRUCTURED)
    again = shelf_of(refitted, store, shelf._kept).network(Pruning.STRUCTURED)
    assert equal_weights(again.module.network.get_weights(), made.module.network.get_weights())
    assert again.module.calibration == made.module.calibration
    assert (again.features, again.model, again.note) == (made.features, made.model, made.note)


def stopped_before_the_end(shelf: NetworkShelf, folder: Path) -> Path:
    """What a process had kept that was killed before the last network was written."""
    shelf.network(Pruning.STRUCTURED)
    shutil.copytree(shelf._kept, folder)
    (folder / "structured.npz").unlink()
    return folder


def test_what_is_kept_of_structured_pruning_is_not_estimated_again(shelf, refitted, store, tmp_path):
    assert shelf_of(refitted, store, tmp_path / "new").estimate_s(Pruning.STRUCTURED) > 0.0
    folder = stopped_before_the_end(shelf, tmp_path / "kept")
    assert shelf_of(refitted, store, folder).estimate_s(Pruning.STRUCTURED) == 0.0
    (folder / "round_0.npz").unlink()
    one_s = shelf_of(refitted, store, folder).estimate_s(Pruning.STRUCTURED)
    assert one_s == read_kept(folder / "held_round_0.npz").about["duration_s"]
    (folder / "idle_inputs.json").unlink()
    assert shelf_of(refitted, store, folder).estimate_s(Pruning.STRUCTURED) > one_s


def test_a_run_that_goes_on_keeps_its_rounds_though_no_time_is_left(shelf, refitted, store, tmp_path):
    folder = stopped_before_the_end(shelf, tmp_path / "kept")
    made = shelf.network(Pruning.STRUCTURED)
    again = shelf_of(refitted, store, folder, budget_s=1e-6).network(Pruning.STRUCTURED)
    assert again.model == made.model
    assert equal_weights(again.module.network.get_weights(), made.module.network.get_weights())


def test_a_run_that_goes_on_takes_the_inputs_out_that_it_had_found_idle(shelf, refitted, store, tmp_path):
    folder = stopped_before_the_end(shelf, tmp_path / "kept")
    kept = json.loads((folder / "idle_inputs.json").read_text())
    assert kept["dropped"]
    # As another machine may find it, on which losses that were equal are not; the rounds are of other inputs then.
    (folder / "idle_inputs.json").write_text(json.dumps({**kept, "dropped": []}))
    again = shelf_of(refitted, store, folder).network(Pruning.STRUCTURED)
    assert removable_columns(again.features) == removable_columns(store.spec)
    assert again.features.context == kept["context"]


def test_inputs_that_were_found_idle_among_others_are_found_again(shelf, refitted, store, tmp_path):
    folder = stopped_before_the_end(shelf, tmp_path / "kept")
    before = (folder / "idle_inputs.json").read_text()
    document = json.loads(before)
    document["features"]["columns"].append("another")
    (folder / "idle_inputs.json").write_text(json.dumps(document))
    shelf_of(refitted, store, folder).network(Pruning.STRUCTURED)
    assert (folder / "idle_inputs.json").read_text() == before


def test_a_product_of_factors_has_the_bounds_of_each_of_them(refitted, store, shelf, tmp_path):
    run = SmallRun(Path(shutil.copytree(refitted.folder, tmp_path / "run")))
    path = run.directory(StepName.TRAIN_MODEL) / "model_spec.json"
    spec = json.loads(path.read_text())
    whole, changed = shelf.network(Pruning.NONE).module, shelf.network(Pruning.MAGNITUDE_50).module
    ratio = found_again(changed.network, store) / found_again(whole.network, store)
    # At the bound that the first level leaves by its ratio.
    bound = 5.0 if ratio[0] > 1.0 else 0.2
    path.write_text(json.dumps({**spec, "calibration": [bound] * len(spec["calibration"])}))
    found = shelf_of(run, store, tmp_path / "kept").network(Pruning.MAGNITUDE_50).module.calibration.factors
    assert ratio[0] != 1.0
    assert found[0] == bound
