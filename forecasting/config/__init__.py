"""The configuration model."""

from forecasting.config.loading import load_config, parse_config
from forecasting.config.root import STEP_SETTINGS, AlmanacConfig, StepSettings, config_digest, step_settings

__all__ = [
    "STEP_SETTINGS",
    "AlmanacConfig",
    "StepSettings",
    "config_digest",
    "load_config",
    "parse_config",
    "step_settings",
]
