import numpy as np
import pytest
import tensorflow as tf

from forecasting.config.training import AugmentationConfig
from forecasting.features.transform import feature_blocks
from forecasting.neural.augmentation import Augmentation
from forecasting.neural.batches import window_gather

SEED = tf.constant([1, 7])


@pytest.fixture(scope="module")
def batch(hourly_store, windows):
    found = window_gather(hourly_store, windows[0])(np.arange(64))
    assert found["present"].numpy().min() == 0
    return found


def changed(store, batch, seed=SEED, **settings):
    augmentation = Augmentation(AugmentationConfig(**settings), store.spec)
    return {name: tensor.numpy() for name, tensor in augmentation(batch, seed).items()}


def past_of(store, history):
    return np.asarray(history)[:, :, : len(feature_blocks(store.spec).past)]


def test_nothing_is_active_unless_asked_for(hourly_store):
    assert not Augmentation(AugmentationConfig(), hourly_store.spec).active
    assert Augmentation(AugmentationConfig(noise=0.1), hourly_store.spec).active


def test_noise_moves_the_past_target_and_its_derived_columns_alone(hourly_store, batch):
    found = changed(hourly_store, batch, noise=0.1)
    difference = found["history"] - batch["history"].numpy()
    names = feature_blocks(hourly_store.spec).past
    moved = [name for i, name in enumerate(names) if np.abs(difference[:, :, i]).max() > 0]
    assert moved[0] == "load"
    assert not {"load_present", "wind"} & set(moved)
    assert np.abs(difference[:, :, len(names) :]).max() == 0
    present = batch["history"].numpy()[:, :, 1] > 0
    assert difference[:, :, 0][present].std() == pytest.approx(0.1, rel=0.05)
    assert np.abs(difference[:, :, 0][~present]).max() == 0
    np.testing.assert_array_equal(found["target"], batch["target"])
    np.testing.assert_array_equal(found["present"], batch["present"])


def test_scaling_takes_past_and_target_by_the_same_factor_of_each_window(hourly_store, batch):
    found = changed(hourly_store, batch, scaling=0.2)
    target = batch["target"].numpy()
    usable = np.abs(target) > 0.05
    factors = np.where(usable, found["target"] / np.where(usable, target, 1.0), np.nan)
    factor = np.nanmedian(factors, axis=1)
    np.testing.assert_allclose(found["target"], target * factor[:, None], atol=1e-5)
    np.testing.assert_allclose(
        found["history"][:, :, 0], batch["history"].numpy()[:, :, 0] * factor[:, None], atol=1e-5
    )
    assert 0.1 < factor.std() < 0.25
    np.testing.assert_array_equal(found["history"][:, :, 1], batch["history"].numpy()[:, :, 1])


def test_a_shift_moves_the_past_later_and_shows_nothing_from_ahead(hourly_store, batch):
    found = past_of(hourly_store, changed(hourly_store, batch, time_shift=5)["history"])
    past = past_of(hourly_store, batch["history"])
    shifts = []
    for window, before in zip(found, past, strict=True):
        (by,) = [n for n in range(6) if np.array_equal(window[n:], before[: len(before) - n]) and not window[:n].any()][
            :1
        ]
        shifts.append(by)
    assert set(shifts) == {0, 1, 2, 3, 4, 5}


def test_the_same_seed_draws_the_same_and_another_another(hourly_store, batch):
    first = changed(hourly_store, batch, noise=0.1, scaling=0.1, time_shift=3)["history"]
    np.testing.assert_array_equal(first, changed(hourly_store, batch, noise=0.1, scaling=0.1, time_shift=3)["history"])
    other = changed(hourly_store, batch, tf.constant([1, 8]), noise=0.1, scaling=0.1, time_shift=3)["history"]
    assert not np.array_equal(first, other)
