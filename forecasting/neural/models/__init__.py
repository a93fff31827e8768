"""The models: one `Forecaster` around a `HorizonModel` of a kind."""

from forecasting.neural.models.contract import Forecaster, NetworkSpec
from forecasting.neural.models.registry import build_network

__all__ = ["Forecaster", "NetworkSpec", "build_network"]
