"""The run report as a reader sees it: opened from disk, without a network."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.reporting.report_run import report_run
from forecasting.config import parse_config, step_settings
from forecasting.contracts.artifacts import FORECAST_PICTURE_FILE, RUN_REPORT_FILE
from forecasting.contracts.layout import home_layout
from forecasting.contracts.steps import StepName
from forecasting.steps import StepContext
from tests.integration.services.browser import chromium_page
from tests.integration.services.finished_run import finished_run

pytestmark = pytest.mark.services

GATES = {
    "model": {"max_mae": 189, "max_rmse": 274, "max_naive_ratio": 0.6, "max_champion_ratio": 1.02},
    "compressed": {"max_mae": 189, "max_rmse": 274, "max_mae_increase_ratio": 0.02},
    "serving": {"max_latency_ms": 50, "max_difference_ratio": 0.001},
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output directory of report_run for a finished run."""
    home = tmp_path_factory.mktemp("home")
    run = finished_run(home)
    output = home / "output"
    output.mkdir()
    settings = step_settings(parse_config({"name": "demand", "gates": GATES}, "test"), StepName.REPORT_RUN)
    report_run(settings, {}, output, StepContext(home_layout(home), run))
    return output


@pytest.mark.parametrize("width", [1280, 500])
def test_the_report_renders_without_complaints_and_with_its_pictures(report, tmp_path, width):
    with chromium_page(tmp_path, width=width) as page:
        page.open((report / RUN_REPORT_FILE).as_uri())
        shown = page.shown()
        picture = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L"))
    assert page.complaints == []
    assert shown["broken"] == []
    # The forecast, the error by step, by hour and by weekday, and the learning curve.
    assert shown["n_wide_drawings"] == 5
    assert "demand" in shown["title"]
    assert "111" in shown["text"]
    assert "tflite_int8" in shown["text"]
    assert len(np.unique(picture)) > 20


def test_the_report_asks_for_nothing_but_itself(report, tmp_path):
    with chromium_page(tmp_path) as page:
        page.open((report / RUN_REPORT_FILE).as_uri())
        page.shown()
    assert [url for url in page.requests if not url.startswith(("data:", "about:"))] == [
        (report / RUN_REPORT_FILE).as_uri()
    ]


def test_the_page_never_scrolls_sideways_on_a_wide_screen(report, tmp_path):
    with chromium_page(tmp_path) as page:
        page.open((report / RUN_REPORT_FILE).as_uri())
        assert page.shown()["overflow"] == 0


def test_the_forecast_picture_shows_more_than_an_empty_sheet(report):
    picture = np.asarray(Image.open(report / FORECAST_PICTURE_FILE).convert("L"))
    assert picture.shape == (800, 1600)
    assert (picture < 128).mean() > 0.005
