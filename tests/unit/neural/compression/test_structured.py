from dataclasses import replace

import numpy as np
import pytest

from forecasting.config.models import RidgeConfig
from forecasting.errors import ConfigError
from forecasting.features.transform import reduced_spec, removable_columns
from forecasting.neural.compression.conversion import convert_to_lite
from forecasting.neural.compression.fine_tuning import drawn_windows, taught_windows
from forecasting.neural.compression.importance import unit_importance
from forecasting.neural.compression.narrowing import narrowed_model
from forecasting.neural.compression.structured import (
    KeptRounds,
    NarrowingConfig,
    NarrowingRounds,
    narrow_network,
    repeat_rounds,
)
from forecasting.neural.export import CalibrationSpec, ForecastModule
from forecasting.neural.models import NetworkSpec, build_network
from tests.unit.neural.compression.conftest import WIDE
from tests.unit.neural.conftest import SHORT

FAST = NarrowingConfig(n_steps=8, keep_ratio=0.5, max_rounds=2)


def rounds_of(network, store, windows, *, kept=None, progress=None, **settings) -> NarrowingRounds:
    changed = replace(FAST, **settings)
    return NarrowingRounds(network, SHORT, store=store, windows=windows, settings=changed, kept=kept, progress=progress)


@pytest.fixture(scope="module")
def narrowed(trained, hourly_store, windows):
    """By budget: none that could be met, and one that always is."""

    def narrow(max_loss_ratio: float):
        rounds = rounds_of(trained.network, hourly_store, windows[0], max_loss_ratio=max_loss_ratio)
        return narrow_network(NetworkSpec(hourly_store.spec, WIDE), hourly_store.spec, rounds, windows[1])

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
    rounds = rounds_of(trained.network, hourly_store, windows[0], time_budget_s=0.0)
    found = narrow_network(NetworkSpec(hourly_store.spec, WIDE), hourly_store.spec, rounds, windows[1])
    assert (found.rounds, found.out_of_time) == ((), True)


def test_a_kind_without_units_is_refused_by_name(trained, hourly_store, windows):
    spec = NetworkSpec(hourly_store.spec, RidgeConfig())
    with pytest.raises(ConfigError, match="ridge has no hidden units"):
        narrow_network(spec, spec.features, rounds_of(trained.network, hourly_store, windows[0]), windows[1])


def test_rounds_that_were_found_to_be_within_the_budget_are_done_again_with_another_network(
    narrowed, trained, hourly_store, windows
):
    found = narrowed["always"]
    spec, rounds = NetworkSpec(hourly_store.spec, WIDE), rounds_of(trained.network, hourly_store, windows[0])
    again = repeat_rounds(spec, spec.features, rounds, found.specs)
    for weight, expected in zip(again.get_weights(), found.network.get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-4, atol=1e-5)
    assert repeat_rounds(spec, spec.features, rounds, ()) is trained.network


@pytest.mark.parametrize(("settings", "n_rounds"), [({"max_loss_ratio": -1.0}, 1), ({"time_budget_s": 0.0}, 0)])
def test_inputs_stay_out_where_the_first_round_costs_too_much_or_has_no_time(
    settings, n_rounds, trained, hourly_store, windows
):
    features = hourly_store.spec
    reads = reduced_spec(features, context=24, dropped=[removable_columns(features)[-1]])
    spec, rounds = NetworkSpec(features, WIDE), rounds_of(trained.network, hourly_store, windows[0], **settings)
    found = narrow_network(spec, reads, rounds, windows[1])
    assert (found.spec, len(found.rounds), found.specs) == (NetworkSpec(reads, WIDE), n_rounds, ())
    assert found.out_of_time is (n_rounds == 0)
    again = repeat_rounds(spec, reads, rounds, found.specs)
    for network in (found.network, again):
        assert network.features == reads
        np.testing.assert_array_equal(
            network.head.hidden.get_weights()[0], trained.network.head.hidden.get_weights()[0]
        )


def test_where_no_width_can_be_lowered_there_is_no_round_and_time_is_not_the_reason(hourly_store, windows):
    least = WIDE.model_copy(update={"units": 1, "embedding_units": 1, "step_units": 1, "head_units": 1})
    spec = NetworkSpec(hourly_store.spec, least)
    rounds = rounds_of(build_network(spec), hourly_store, windows[0])
    found = narrow_network(spec, spec.features, rounds, windows[1])
    assert (found.spec, found.rounds, found.out_of_time) == (spec, (), False)


class StoppedError(Exception):
    """What a kill is to the rounds."""


def test_a_round_that_was_finished_before_a_stop_is_not_done_again_and_the_next_ends_the_same(
    narrowed, trained, hourly_store, windows, tmp_path
):
    done: list[int] = []

    def stop_in_the_second_round(step: int) -> None:
        done.append(step)
        if len(done) == FAST.n_steps + 3:
            raise StoppedError

    spec, kept = NetworkSpec(hourly_store.spec, WIDE), KeptRounds(tmp_path, "round")
    stopped = rounds_of(
        trained.network, hourly_store, windows[0], kept=kept, progress=stop_in_the_second_round, max_loss_ratio=10.0
    )
    with pytest.raises(StoppedError):
        narrow_network(spec, spec.features, stopped, windows[1])
    assert [file.name for file in tmp_path.iterdir()] == ["round_0.npz"]

    steps: list[int] = []
    resumed = rounds_of(
        trained.network, hourly_store, windows[0], kept=kept, progress=steps.append, max_loss_ratio=10.0
    )
    found = narrow_network(spec, spec.features, resumed, windows[1])
    assert steps == list(range(1, FAST.n_steps + 1))
    assert [record.widths for record in found.rounds] == [record.widths for record in narrowed["always"].rounds]
    for weight, expected in zip(found.network.get_weights(), narrowed["always"].network.get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-4, atol=1e-5)


def test_seconds_of_a_round_that_was_finished_before_a_stop_count(trained, hourly_store, windows, tmp_path):
    spec, kept = NetworkSpec(hourly_store.spec, WIDE), KeptRounds(tmp_path, "round")
    smaller = NetworkSpec(hourly_store.spec, narrowed_model(WIDE, FAST.keep_ratio))
    kept.write(0, build_network(smaller), smaller, 500.0)
    rounds = rounds_of(trained.network, hourly_store, windows[0], kept=kept, max_loss_ratio=1e9, time_budget_s=900.0)
    found = narrow_network(spec, spec.features, rounds, windows[1])
    assert (len(found.rounds), found.out_of_time) == (1, True)


def test_it_is_never_too_late_for_a_round_that_was_finished_before_a_stop(trained, hourly_store, windows, tmp_path):
    spec, kept = NetworkSpec(hourly_store.spec, WIDE), KeptRounds(tmp_path, "round")
    smaller = NetworkSpec(hourly_store.spec, narrowed_model(WIDE, FAST.keep_ratio))
    kept.write(0, build_network(smaller), smaller, 500.0)
    rounds = rounds_of(trained.network, hourly_store, windows[0], kept=kept, max_loss_ratio=1e9, time_budget_s=400.0)
    found = narrow_network(spec, spec.features, rounds, windows[1])
    assert (found.spec, len(found.rounds), found.out_of_time) == (smaller, 1, True)


@pytest.mark.parametrize("other", ["inputs", "widths"])
def test_a_round_of_other_inputs_or_widths_counts_as_not_finished(other, hourly_store, tmp_path):
    features = hourly_store.spec
    spec, kept = NetworkSpec(features, WIDE), KeptRounds(tmp_path, "round")
    dropped = [removable_columns(features)[-1]]
    kept_spec = {
        "inputs": NetworkSpec(reduced_spec(features, context=features.context, dropped=dropped), WIDE),
        "widths": NetworkSpec(features, narrowed_model(WIDE, 0.5)),
    }[other]
    kept.write(0, build_network(kept_spec), kept_spec, 1.0)
    assert kept.read(0, spec) is None
    assert kept.read(0, kept_spec)[1] == 1.0


def test_the_teacher_answers_the_windows_that_are_drawn_and_no_others(trained, hourly_store, windows):
    drawn = drawn_windows(hourly_store, windows[0], SHORT, n_steps=2)
    taught = taught_windows(trained.network, drawn)
    assert taught.steps.shape == (2, 32)
    assert len(taught.answers) == len(taught.windows) == len(np.unique(taught.steps)) <= 64 < len(windows[0])
    expected = taught_windows(trained.network, drawn_windows(hourly_store, windows[0], SHORT, n_steps=40))
    shared = np.flatnonzero(np.isin(expected.windows.row, taught.windows.row))
    np.testing.assert_allclose(expected.answers[shared], taught.answers, rtol=1e-4, atol=1e-5)
