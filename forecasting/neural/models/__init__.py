"""The models: one `Forecaster` around a `HorizonModel` of a kind."""

from forecasting.neural.models.contract import Forecaster, NetworkSpec
from forecasting.neural.models.ensemble import EnsembleForecaster
from forecasting.neural.models.registry import build_network

AnyForecaster = Forecaster | EnsembleForecaster

__all__ = ["AnyForecaster", "EnsembleForecaster", "Forecaster", "NetworkSpec", "build_network"]
