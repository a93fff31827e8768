from dataclasses import replace

import numpy as np
import pytest

from forecasting.config.models import RidgeConfig
from forecasting.errors import ConfigError
from forecasting.feature_store import origin_times
from forecasting.neural.compression.conversion import convert_to_lite
from forecasting.neural.compression.fine_tuning import drawn_windows, taught_windows
from forecasting.neural.compression.importance import unit_importance
from forecasting.neural.compression.structured import (
    NarrowingConfig,
    NarrowingWindows,
    narrow_network,
    narrowing_windows,
)
from forecasting.neural.export import CalibrationSpec, ForecastModule
from forecasting.neural.models import NetworkSpec, build_network
from tests.unit.neural.compression.conftest import WIDE
from tests.unit.neural.conftest import SHORT

FAST = NarrowingConfig(n_steps=8, keep_ratio=0.5, max_rounds=2)


@pytest.fixture(scope="module")
def narrowed(trained, hourly_store, windows):
    """By budget: none that could be met, and one that always is."""
    spec = NetworkSpec(hourly_store.spec, WIDE)

    def narrow(max_loss_ratio: float):
        return narrow_network(
            trained.network, spec, SHORT, store=hourly_store, windows=NarrowingWindows(*windows),
            settings=replace(FAST, max_loss_ratio=max_loss_ratio),
        )  # fmt: skip

    return {"never": narrow(-1.0), "always": narrow(10.0)}


@pytest.mark.parametrize("criterion", ["taylor", "norm"])
def test_units_that_nothing_reads_matter_least(criterion, hourly_store, windows):
    network = build_network(NetworkSpec(hourly_store.spec, WIDE))
    head = next(group for group in network.width_groups() if group.field == "head_units")
    rng = np.random.default_rng(0)
    for weight in network.trainable_variables:
        weight.assign(rng.normal(0.0, 0.3, weight.shape))
    planted = [3, 11, 40]
    for axis in head.axes:
        values = axis.variable.numpy()
        dead = np.setdiff1d(np.arange(head.n_units), planted)
        np.moveaxis(values, axis.axis, 0)[axis.positions[dead].ravel()] *= 0.0 if axis.reads else 1e-3
        axis.variable.assign(values)
    groups = network.width_groups()
    scores = unit_importance(network, groups, hourly_store, windows[0], criterion=criterion)
    place = [group.field for group in groups].index("head_units")
    assert sorted(np.argsort(-scores[place])[:3].tolist()) == planted


def test_a_budget_that_no_round_meets_leaves_the_network_as_it_is(narrowed, trained):
    found = narrowed["never"]
    assert found.network is trained.network
    assert [record.within_budget for record in found.rounds] == [False]


def test_rounds_go_on_while_the_budget_lasts(narrowed, module, float_lite):
    found = narrowed["always"]
    assert [record.within_budget for record in found.rounds] == [True, True]
    assert found.rounds[-1].widths == {"units": 8, "embedding_units": 2, "step_units": 1, "head_units": 12}
    assert found.spec.model.units == 8
    assert found.network.head.hidden.units == 12
    narrow = ForecastModule(found.network, module.spec, CalibrationSpec((1.0, 1.0, 1.0)))
    assert len(convert_to_lite(narrow).content) < len(float_lite)


def test_the_network_that_units_are_taken_out_of_is_left_as_it_is(narrowed, trained):
    assert trained.network.head.hidden.units == 48
    assert narrowed["always"].network is not trained.network


def test_no_round_begins_when_time_is_over(trained, hourly_store, windows):
    found = narrow_network(
        trained.network, NetworkSpec(hourly_store.spec, WIDE), SHORT,
        store=hourly_store, windows=NarrowingWindows(*windows), settings=replace(FAST, time_budget_s=0.0),
    )  # fmt: skip
    assert found.rounds == ()


def test_a_kind_without_units_is_refused_by_name(trained, hourly_store, windows):
    spec = NetworkSpec(hourly_store.spec, RidgeConfig())
    with pytest.raises(ConfigError, match="ridge has no hidden units"):
        narrow_network(
            trained.network, spec, SHORT, store=hourly_store, windows=NarrowingWindows(*windows), settings=FAST
        )


@pytest.mark.parametrize("refit", [False, True])
def test_rounds_learn_from_what_the_network_learnt_from_and_nothing_from_the_test_period(refit, hourly_store):
    found, split, spec = narrowing_windows(hourly_store, refit=refit), hourly_store.split, hourly_store.spec

    def last_step(windows) -> int:
        return int((origin_times(hourly_store, windows) + (spec.horizon - 1) * spec.step_s).max())

    assert (last_step(found.train) >= split.train_end) is refit
    assert last_step(found.train) < split.validation_end
    assert int(origin_times(hourly_store, found.validation).min()) >= split.train_end
    assert last_step(found.validation) < split.validation_end


def test_the_teacher_answers_the_windows_that_are_drawn_and_no_others(trained, hourly_store, windows):
    drawn = drawn_windows(hourly_store, windows[0], SHORT, n_steps=2)
    taught = taught_windows(trained.network, drawn)
    assert taught.steps.shape == (2, 32)
    assert len(taught.answers) == len(taught.windows) == len(np.unique(taught.steps)) <= 64 < len(windows[0])
    expected = taught_windows(trained.network, drawn_windows(hourly_store, windows[0], SHORT, n_steps=40))
    shared = np.flatnonzero(np.isin(expected.windows.row, taught.windows.row))
    np.testing.assert_allclose(expected.answers[shared], taught.answers, rtol=1e-4, atol=1e-5)
