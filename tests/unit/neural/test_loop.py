import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from forecasting.errors import DataError, ModelRefusedError
from forecasting.feature_store import WindowIndex
from forecasting.neural.checkpoint import CheckpointStore
from forecasting.neural.loop import TrainingLoop
from forecasting.neural.models import NetworkSpec
from tests.unit.neural.conftest import SHORT, SMALL


def loop_for(store, training=SHORT) -> TrainingLoop:
    return TrainingLoop(NetworkSpec(store.spec, SMALL), training, tf.distribute.get_strategy())


def weights_of(loop) -> np.ndarray:
    return np.concatenate([weight.numpy().ravel() for weight in loop.network.trainable_variables])


def test_training_lowers_the_validation_loss(hourly_store, windows):
    report = loop_for(hourly_store, SHORT.model_copy(update={"max_epochs": 4})).fit(
        hourly_store, *windows, checkpoint=None, key="k"
    )
    losses = [row.validation_loss for row in report.history]
    assert min(losses[1:]) < losses[0]
    assert losses[report.best_epoch - 1] == min(losses)


def test_same_seed_gives_the_same_weights(hourly_store, windows):
    first, second = loop_for(hourly_store), loop_for(hourly_store)
    first.fit(hourly_store, *windows, checkpoint=None, key="k")
    second.fit(hourly_store, *windows, checkpoint=None, key="k")
    np.testing.assert_array_equal(weights_of(first), weights_of(second))


class KilledLoop(TrainingLoop):
    """Dies at the start of its third epoch."""

    def _epoch(self, plan, state):
        if state.n_epochs == 2:
            raise KeyboardInterrupt
        return super()._epoch(plan, state)


def test_training_killed_in_the_middle_ends_with_the_weights_of_one_that_was_not(hourly_store, windows, tmp_path):
    path = tmp_path / "fit"
    settings = SHORT.model_copy(update={"max_epochs": 4})
    whole, resumed = loop_for(hourly_store, settings), loop_for(hourly_store, settings)
    whole.fit(hourly_store, *windows, checkpoint=None, key="k")
    killed = KilledLoop(NetworkSpec(hourly_store.spec, SMALL), settings, tf.distribute.get_strategy())
    with pytest.raises(KeyboardInterrupt):
        killed.fit(hourly_store, *windows, checkpoint=path, key="k")
    assert CheckpointStore(path, "k").load().loop.n_epochs == 2
    report = resumed.fit(hourly_store, *windows, checkpoint=path, key="k")
    assert report.resumed_from_epoch == 2
    np.testing.assert_array_equal(weights_of(resumed), weights_of(whole))


def test_checkpoint_of_other_settings_is_not_resumed(hourly_store, windows, tmp_path):
    path = tmp_path / "fit"
    loop_for(hourly_store).fit(hourly_store, *windows, checkpoint=path, key="k")
    assert loop_for(hourly_store).fit(hourly_store, *windows, checkpoint=path, key="other").resumed_from_epoch == 0


def test_training_stops_when_validation_gets_no_better(hourly_store, windows):
    frozen = SHORT.model_copy(update={"learning_rate": 1e-12, "max_epochs": 30, "patience": 2, "ema": 0.0})
    report = loop_for(hourly_store, frozen).fit(hourly_store, *windows, checkpoint=None, key="k")
    assert report.stopped_early
    assert len(report.history) < 30


def test_without_validation_every_epoch_is_used_and_the_average_is_kept(hourly_store, windows):
    loop = loop_for(hourly_store)
    report = loop.fit(hourly_store, windows[0], None, checkpoint=None, key="k")
    assert (report.best_epoch, report.stopped_early, report.n_validation_windows) == (2, False, 0)
    averages = np.concatenate([average.numpy().ravel() for average in loop.step.average.moving])
    np.testing.assert_array_equal(weights_of(loop), averages)


def test_too_few_windows_for_one_batch_is_a_data_error(hourly_store, windows):
    train, validation = windows
    few = WindowIndex(**{field.name: getattr(train, field.name)[:5] for field in dataclasses.fields(train)})
    with pytest.raises(DataError, match="at least 32 training windows"):
        loop_for(hourly_store).fit(hourly_store, few, validation, checkpoint=None, key="k")


def test_diverged_training_is_refused_by_name(hourly_store, windows):
    wild = SHORT.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(
        ModelRefusedError, match=r"diverged in epoch 1 at step \d.*also after a retry.*training.learning_rate"
    ):
        loop_for(hourly_store, wild).fit(hourly_store, *windows, checkpoint=None, key="k")


def test_min_delta_counts_only_what_is_so_much_better(hourly_store, windows):
    strict = SHORT.model_copy(update={"min_delta": 10.0, "patience": 2, "max_epochs": 9})
    report = loop_for(hourly_store, strict).fit(hourly_store, *windows, checkpoint=None, key="k")
    losses = [row.validation_loss for row in report.history]
    assert losses[1] < losses[0]
    assert len(losses) == 3
    assert report.best_epoch == 1


def test_the_rate_falls_at_a_plateau(hourly_store, windows):
    flat = SHORT.model_copy(
        update={"schedule": "reduce_on_plateau", "plateau_factor": 0.5, "plateau_patience": 2, "min_delta": 10.0,
                "max_epochs": 6, "patience": 9}
    )  # fmt: skip
    report = loop_for(hourly_store, flat).fit(hourly_store, *windows, checkpoint=None, key="k")
    assert [row.learning_rate for row in report.history] == pytest.approx([0.01, 0.01, 0.01, 0.005, 0.005, 0.0025])


def test_the_mean_of_the_last_epochs_is_what_is_left_in_the_network(hourly_store, windows):
    settings = SHORT.model_copy(update={"max_epochs": 3, "swa_epochs": 2})
    loop = loop_for(hourly_store, settings)
    loop.fit(hourly_store, windows[0], None, checkpoint=None, key="k")
    mean = np.concatenate([average.numpy().ravel() for average in loop.step.average.mean])
    np.testing.assert_array_equal(weights_of(loop), mean)
    moving = np.concatenate([average.numpy().ravel() for average in loop.step.average.moving])
    assert not np.array_equal(mean, moving)


@pytest.mark.parametrize(
    "settings",
    [{"optimizer": "sgd", "learning_rate": 0.1}, {"optimizer": "rmsprop", "learning_rate": 1e-3}, {"schedule": "one_cycle"},
     {"schedule": "exponential"}, {"precision": "mixed_bfloat16"}, {"precision": "mixed_float16"}, {"xla": True}],
    ids=str,
)  # fmt: skip
def test_training_learns_with_it(hourly_store, windows, settings):
    changed = SHORT.model_copy(update={"max_epochs": 3, **settings})
    report = loop_for(hourly_store, changed).fit(hourly_store, *windows, checkpoint=None, key="k")
    losses = [row.train_loss for row in report.history]
    assert losses[-1] < 0.9 * losses[0]
    assert sum(row.n_skipped_steps for row in report.history) <= 2
