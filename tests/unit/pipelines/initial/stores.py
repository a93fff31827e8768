"""What validation makes of a proposal."""

from pathlib import Path

from components.validation.validate_data import validate_data
from forecasting.config import AlmanacConfig, step_settings
from forecasting.contracts.layout import home_layout
from forecasting.contracts.steps import StepName
from forecasting.schema import SeriesStore
from forecasting.series_store import read_series_store
from forecasting.steps import StepContext


def store_of(config: AlmanacConfig) -> SeriesStore:
    """What validate_data makes of the proposal, which it must accept."""
    output, home = Path("out"), home_layout()
    output.mkdir()
    outcome = validate_data(step_settings(config, StepName.VALIDATE_DATA), {}, output, StepContext(home, home.run("r")))
    assert outcome.passed, outcome.summary
    return read_series_store(output)
