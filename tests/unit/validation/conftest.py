"""Settings and a run for the tests of validate_data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forecasting.config import parse_config, step_settings
from forecasting.config.root import ValidateDataSettings
from forecasting.contracts.layout import home_layout
from forecasting.contracts.steps import StepName
from forecasting.steps import StepContext

GATES = {
    "model": {"max_mae": 1, "max_rmse": 1, "max_naive_ratio": 1, "max_champion_ratio": 1},
    "compressed": {"max_mae": 1, "max_rmse": 1},
    "serving": {"max_latency_ms": 50, "max_difference_ratio": 0.001},
}

MakeSettings = Callable[..., ValidateDataSettings]


@pytest.fixture
def make_settings() -> MakeSettings:
    """Settings of a small hourly table: two days of context, a day ahead, a day each to validate and test."""

    def make(uri: str = "unused.csv", **sections: Any) -> ValidateDataSettings:
        document = {
            "name": "load",
            "data": {
                "uri": uri,
                "time_column": "time",
                "target": "load",
                "frequency": "1h",
                **sections.pop("data", {}),
            },
            "forecast": {"horizon": 24, "context": 48, "segment": 24, "seasons": [24], **sections.pop("forecast", {})},
            "features": {
                "derived": [{"kind": "rolling", "column": "load", "windows": [24]}],
                **sections.pop("features", {}),
            },
            "split": {"validation": "1d", "test": "1d", "embargo": False, **sections.pop("split", {})},
            "gates": GATES,
            "compression": {"max_accuracy_loss": 0.02},
            **sections,
        }
        settings = step_settings(parse_config(document, source="test"), StepName.VALIDATE_DATA)
        assert isinstance(settings, ValidateDataSettings)
        return settings

    return make


@pytest.fixture
def context(tmp_path: Path) -> StepContext:
    """A run without a cutoff in an empty home."""
    home = home_layout(tmp_path / "home")
    return StepContext(home, home.run("run"))
