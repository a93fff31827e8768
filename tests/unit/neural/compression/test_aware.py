import numpy as np
import pytest

from forecasting.config.models import RidgeConfig
from forecasting.errors import ConfigError
from forecasting.neural.batches import window_gather
from forecasting.neural.compression.aware import AwareConfig, aware_network
from forecasting.neural.models import NetworkSpec, build_network
from forecasting.neural.models.products import product, rounded_products
from forecasting.neural.models.recurrence import portable_recurrence
from tests.unit.neural.compression.conftest import WIDE
from tests.unit.neural.conftest import SHORT


def test_a_rounded_product_has_256_steps_for_values_and_255_for_the_weights_of_an_output():
    rng = np.random.default_rng(3)
    values, kernel = rng.normal(size=(500, 1)).astype(np.float32), rng.normal(size=(1, 400)).astype(np.float32)
    with rounded_products():
        of_values = product(values, np.ones((1, 1), np.float32)).numpy()
        of_weights = product(np.ones((1, 1), np.float32), np.repeat(kernel, 2, axis=0)[:1]).numpy()
    assert len(np.unique(of_values)) <= 256
    step = (values.max() - values.min()) / 255
    assert np.abs(of_values - values).max() <= 1.01 * step
    assert len(np.unique(of_weights)) <= 256


def test_a_product_is_exact_outside():
    values, kernel = np.asarray([[1.0, 2.0]], np.float32), np.asarray([[3.0], [0.001]], np.float32)
    assert product(values, kernel, np.asarray([1.0], np.float32)).numpy() == pytest.approx(4.002)


def test_fine_tuning_recovers_a_loss_that_was_planted(trained, hourly_store, windows):
    spec = NetworkSpec(hourly_store.spec, WIDE)
    network = build_network(spec)
    network.set_weights(trained.network.get_weights())
    # One unit with outputs far beyond the others: a range for all of them is too coarse for most.
    for weights, factor in ((network.head.hidden.kernel, 1000.0), (network.head.gaps.kernel, 1e-3)):
        values = weights.numpy()
        (values.T if factor > 1.0 else values)[0] *= factor
        weights.assign(values)
    batch = window_gather(hourly_store, windows[1])(np.arange(64))
    expected = network(batch["history"], batch["future"])[0].numpy()

    def error(of) -> float:
        with portable_recurrence(), rounded_products():
            return float(np.abs(of(batch["history"], batch["future"])[0].numpy() - expected).mean())

    settings = AwareConfig(n_steps=60, rate_factor=1.0, teacher_share=1.0)
    aware = aware_network(network, spec, SHORT, store=hourly_store, train=windows[0], settings=settings)
    assert error(aware) < 0.8 * error(network)
    np.testing.assert_array_equal(network(batch["history"], batch["future"])[0].numpy(), expected)


def test_weights_that_were_pruned_stay_zero(trained, hourly_store, windows):
    spec = NetworkSpec(hourly_store.spec, WIDE)
    network = build_network(spec)
    network.set_weights(trained.network.get_weights())
    kernel = network.head.hidden.kernel.numpy()
    kernel[::2] = 0.0
    network.head.hidden.kernel.assign(kernel)
    settings = AwareConfig(n_steps=3, rate_factor=1.0)
    aware = aware_network(network, spec, SHORT, store=hourly_store, train=windows[0], settings=settings)
    found = aware.head.hidden.kernel.numpy()
    assert not found[::2].any()
    assert np.any(found[1::2] != kernel[1::2])


def test_a_kind_without_products_is_refused_by_name(trained, hourly_store, windows):
    spec = NetworkSpec(hourly_store.spec, RidgeConfig())
    with pytest.raises(ConfigError, match="ridge has no layers"):
        aware_network(trained.network, spec, SHORT, store=hourly_store, train=windows[0], settings=AwareConfig())
