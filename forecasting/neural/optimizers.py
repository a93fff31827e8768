"""The optimiser that the settings name."""

from typing import Any

import keras

from forecasting.config.training import TrainingConfig


def make_optimizer(training: TrainingConfig) -> Any:
    """A Keras optimiser; its rate is set before every step."""
    rate = training.learning_rate
    match training.optimizer:
        case "adamw":
            return keras.optimizers.AdamW(rate, weight_decay=training.weight_decay)
        case "adam":
            return keras.optimizers.Adam(rate)
        case "rmsprop":
            return keras.optimizers.RMSprop(rate, momentum=training.momentum)
        case "sgd":
            return keras.optimizers.SGD(rate, momentum=training.momentum, nesterov=training.nesterov)
