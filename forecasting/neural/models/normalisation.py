"""Normalisation of what goes into a layer."""

import keras
from keras import layers


def make_normalisation(kind: str, name: str) -> keras.layers.Layer | None:
    """The layer of a name: `layer`, `batch`, or `none`, which is none."""
    match kind:
        case "layer":
            return layers.LayerNormalization(name=name)
        case "batch":
            return layers.BatchNormalization(name=name)
        case "none":
            return None
        case _:
            raise ValueError(f"no normalisation is called {kind!r}")
