import signal

import numpy as np
import pytest
import tensorflow as tf

from forecasting.errors import StoppedError
from forecasting.neural.checkpoint import CheckpointStore
from forecasting.neural.loop import TrainingLoop
from forecasting.neural.models import NetworkSpec
from forecasting.neural.stopping import DeferredStop
from tests.unit.neural.conftest import SHORT, SMALL


def test_a_signal_waits_until_it_is_asked_for():
    with DeferredStop() as stop:
        assert not stop.asked
        signal.raise_signal(signal.SIGTERM)
        assert stop.asked
        with pytest.raises(StoppedError, match="SIGTERM"):
            stop.leave()


def test_the_handler_from_outside_is_called_and_stands_again():
    called = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: called.append(number))
    outside = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(StoppedError), DeferredStop():
            signal.raise_signal(signal.SIGTERM)
        assert called == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is outside
    finally:
        signal.signal(signal.SIGTERM, before)


class SignalledLoop(TrainingLoop):
    """Gets SIGTERM in the middle of its second epoch."""

    def _save_due(self, state):
        if (state.n_epochs, state.step) == (1, 5):
            signal.raise_signal(signal.SIGTERM)
        return super()._save_due(state)


def test_a_training_told_to_stop_saves_where_it_is_and_goes_on_from_there(hourly_store, windows, tmp_path):
    spec, strategy = NetworkSpec(hourly_store.spec, SMALL), tf.distribute.get_strategy()
    whole = TrainingLoop(spec, SHORT, strategy).fit(hourly_store, *windows, checkpoint=None, key="k")
    with pytest.raises(StoppedError):
        SignalledLoop(spec, SHORT, strategy).fit(hourly_store, *windows, checkpoint=tmp_path / "fit", key="k")
    kept = CheckpointStore(tmp_path / "fit", "k").load()
    assert (kept.loop.n_epochs, kept.loop.step, kept.step) == (1, 5, 19)
    resumed = TrainingLoop(spec, SHORT, strategy)
    report = resumed.fit(hourly_store, *windows, checkpoint=tmp_path / "fit", key="k")
    assert report.resumed_from_step == 19
    assert [row.train_loss for row in report.history] == [row.train_loss for row in whole.history]
    assert [row.validation_loss for row in report.history] == [row.validation_loss for row in whole.history]
    assert np.isfinite(report.history[-1].train_loss)
