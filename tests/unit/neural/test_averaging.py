import numpy as np
import pytest
import tensorflow as tf
from keras import Variable

from forecasting.config.training import TrainingConfig
from forecasting.neural.averaging import WeightAverage


def test_the_moving_average_follows_by_its_momentum():
    weight = Variable([1.0])
    average = WeightAverage([weight], TrainingConfig(ema=0.9))
    weight.assign([2.0])
    average.follow(tf.constant(1e6))
    assert float(average.moving[0][0]) == pytest.approx(0.9 * 1.0 + 0.1 * 2.0)


def test_the_moving_average_follows_closely_at_first():
    weight = Variable([1.0])
    average = WeightAverage([weight], TrainingConfig(ema=0.99))
    weight.assign([2.0])
    average.follow(tf.constant(1.0))
    assert float(average.moving[0][0]) == pytest.approx(1 / 11 * 1.0 + 10 / 11 * 2.0)


def test_the_mean_is_over_what_the_last_epochs_ended_with():
    weight = Variable([0.0])
    average = WeightAverage([weight], TrainingConfig(max_epochs=4, swa_epochs=2, ema=0.0))
    for epoch, value in enumerate([100.0, 50.0, 2.0, 4.0], start=1):
        weight.assign([value])
        average.follow(tf.constant(float(epoch)))
        average.end_epoch(epoch)
    assert average.at_end_of(2)[0].numpy().tolist() == [4.0]
    assert average.at_end_of(4)[0].numpy().tolist() == [3.0]


def test_without_last_epochs_there_is_no_mean():
    average = WeightAverage([Variable(np.ones(2))], TrainingConfig())
    assert average.at_end_of(10) is average.moving
    assert len(average.variables) == 1
