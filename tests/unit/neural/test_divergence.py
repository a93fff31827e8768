import json
import math

import numpy as np
import pytest
import tensorflow as tf

from forecasting.config.training import TrainingConfig
from forecasting.errors import ModelRefusedError
from forecasting.neural.checkpoint import CheckpointStore
from forecasting.neural.divergence import DivergedError, LossGuard, name_windows
from forecasting.neural.loop import TrainingLoop
from forecasting.neural.models import NetworkSpec
from tests.unit.neural.conftest import SHORT, SMALL

SETTINGS = TrainingConfig(explode_factor=10.0, explode_steps=2)


def after(losses: list[float], guard: LossGuard | None = None) -> LossGuard:
    return (guard or LossGuard()).after(losses, [1.0] * len(losses), 1, SETTINGS)


def test_a_loss_that_is_no_number_ends_the_attempt_at_its_step():
    with pytest.raises(DivergedError, match="not finite") as found:
        after([1.0, 1.0, math.nan])
    assert found.value.step == 3


def test_gradients_that_are_no_numbers_end_it_too():
    with pytest.raises(DivergedError, match="gradients are not finite"):
        LossGuard().after([1.0], [math.inf], 1, SETTINGS)


def test_a_loss_far_above_the_median_ends_it_after_some_steps_in_a_row():
    guard = after([1.0] * 30)
    with pytest.raises(DivergedError, match="above 10 times the median of the last 30 steps") as found:
        after([11.0, 11.0], guard)
    assert found.value.step == 2


def test_one_large_loss_is_forgiven_and_does_not_move_the_median():
    guard = after([11.0, 1.0, 11.0, 1.0], after([1.0] * 30))
    assert guard.n_exploded == 0
    assert set(guard.recent) == {1.0}


def test_the_first_steps_have_no_median_to_explode_from():
    assert after([1.0] * 10 + [1e6] * 5).n_exploded == 0


def test_the_median_is_over_the_last_hundred_steps():
    assert len(after([1.0] * 50 + [2.0] * 100).recent) == 100
    assert set(after([1.0] * 50 + [2.0] * 100).recent) == {2.0}


def test_windows_are_named_by_series_and_origin(sales_store, windows):
    from forecasting.feature_store import window_index

    found = name_windows(sales_store, window_index(sales_store, None, 10**10, min_age=24), np.asarray([700, 0]))
    assert [(one.number, one.series) for one in found] == [(0, "a"), (700, "b")]
    assert found[0].origin.endswith("+00:00")


class PoisonedLoop(TrainingLoop):
    """The rate of one step is a million times what it should be, until the rate is lowered."""

    def _epoch(self, plan, state):
        step, self.step.train = self.step.train, self._poisoned
        self.original = step
        try:
            return super()._epoch(plan, state)
        finally:
            self.step.train = step

    def _poisoned(self, batch, rate, number):
        wild = number == 24 and rate > 1e-3
        return self.original(batch, rate * 1e9 if wild else rate, number)


CONSTANT = SHORT.model_copy(update={"schedule": "constant", "max_epochs": 3, "optimizer": "sgd"})


def test_a_training_that_explodes_goes_on_from_the_last_checkpoint_at_a_lower_rate(hourly_store, windows, tmp_path):
    loop = PoisonedLoop(NetworkSpec(hourly_store.spec, SMALL), CONSTANT, tf.distribute.get_strategy())
    report = loop.fit(hourly_store, *windows, checkpoint=tmp_path / "fit", key="k")
    (found,) = report.divergences
    assert (found.epoch, found.retried_from_step, found.retry_rate_factor) == (2, 14, 0.1)
    assert 25 <= found.step <= 28
    assert found.learning_rate == pytest.approx(1e-2)
    assert len(found.windows) == 32
    assert [row.n_retries for row in report.history] == [0, 1, 1]
    assert [row.learning_rate for row in report.history] == pytest.approx([1e-2, 1e-3, 1e-3])
    assert all(math.isfinite(row.train_loss) for row in report.history)
    kept = CheckpointStore(tmp_path / "fit", "k").load()
    assert json.dumps(kept.loop.divergences[0].windows[0].origin)
    assert kept.loop.rate_factor == pytest.approx(0.1)


def test_a_second_time_is_refused_with_step_rate_and_windows(hourly_store, windows):
    wild = CONSTANT.model_copy(update={"learning_rate": 1e12, "clip": "none"})
    loop = TrainingLoop(NetworkSpec(hourly_store.spec, SMALL), wild, tf.distribute.get_strategy())
    message = (
        r"diverged in epoch 1 at step \d+: its (loss|gradients).*learning rate [\d.e+]+, windows \d+ \('a' from "
        r"20.*and 27 more\), also after a retry at a lower rate; lower training.learning_rate \(1e\+12\)"
    )
    with pytest.raises(ModelRefusedError, match=message):
        loop.fit(hourly_store, *windows, checkpoint=None, key="k")
