"""What a variant is compared with, and whether fine-tuning for INT8 is tried."""

import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from components.compression.budget import BudgetClock
from components.compression.compress_model import calibration_inputs
from components.compression.networks import NetworkShelf
from components.compression.parity import parity_spec
from components.compression.tournament import Tournament
from forecasting.config import step_settings
from forecasting.contracts.steps import StepName
from forecasting.feature_store import read_feature_store
from forecasting.neural.compression.kept_weights import KeptWeights, write_kept
from forecasting.series_store import read_series_store
from forecasting.tournament import VariantRecord, VariantStatus
from forecasting.variants import Pruning, variant_spec
from tests.unit.training.small_run import SmallRun, make_small_run, small_config

NOISE = 0.3


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    run = make_small_run(tmp_path_factory.mktemp("trained"))
    run.perform(StepName.TRAIN_MODEL, training={"refit": False})
    return run


def records_of(
    run: SmallRun, folder: Path, names: Iterable[str], *, noisy: str, max_loss: float
) -> list[VariantRecord]:
    """Of variants where the network of a name is kept: the trained one with noise on its weights, of other answers."""
    config = small_config(training={"refit": False}, compression={"max_accuracy_loss": 10.0, "finetune_steps": 2})
    settings = step_settings(config, StepName.COMPRESS_MODEL)
    store = read_feature_store(run.directory(StepName.BUILD_FEATURES))
    series = read_series_store(run.directory(StepName.VALIDATE_DATA))
    clock = BudgetClock(3600.0, folder / "clock.json", began=time.monotonic())
    shelf = NetworkShelf(settings, store, run.directory(StepName.TRAIN_MODEL), kept=folder, clock=clock)
    rng, whole = np.random.default_rng(0), shelf.network(Pruning.NONE)
    weights = [weight + rng.normal(0.0, NOISE, weight.shape) for weight in whole.module.network.get_weights()]
    about = {
        "model": whole.model.model_dump(mode="json"), "factors": [1.0, 1.0, 1.0], "sparsity": 0.0, "note": "",
        "context": store.spec.context, "dropped": [],
    }  # fmt: skip
    write_kept(folder / f"{noisy}.npz", KeptWeights(weights, about))
    tournament = Tournament(
        shelf,
        store,
        parity=parity_spec(series, store, 8),
        calibration=lambda: calibration_inputs(series, store.spec, shelf.learnt(), count=50),
        clock=clock,
        max_loss=max_loss,
        kept=folder,
    )
    return tournament.build(tuple(map(variant_spec, names)))


def test_a_conversion_is_compared_with_the_network_fine_tuned_for_int8_that_it_was_made_from(trained, tmp_path):
    names = ["tflite_int8_aware", "tflite_int8"]
    aware, plain = records_of(trained, tmp_path, names, noisy="aware", max_loss=10.0)
    assert (aware.status, plain.status) == (VariantStatus.BUILT, VariantStatus.BUILT)
    assert aware.parity_mean_ratio < 0.05
    # What it loses is counted from the trained network nevertheless.
    assert abs(aware.validation_loss_ratio) > 2 * abs(plain.validation_loss_ratio)


@pytest.mark.parametrize(("max_loss", "status"), [(0.1, VariantStatus.UNNEEDED), (-0.9, VariantStatus.BUILT)])
def test_fine_tuning_for_int8_is_tried_by_what_rounding_costs_not_by_what_pruning_does(
    max_loss, status, trained, tmp_path
):
    names = ["magnitude_50_tflite_int8", "magnitude_50_tflite_int8_aware"]
    plain, aware = records_of(trained, tmp_path, names, noisy="magnitude_50", max_loss=max_loss)
    assert plain.validation_loss_ratio > max_loss
    assert aware.status is status
