"""The page of a search in Chromium: drawn, quiet, alone, on a screen and on a phone, by day and by night."""

from pathlib import Path

import pytest

from components.tuning.page import write_tuning_page
from tests.integration.services.browser import chromium_page
from tests.integration.services.test_run_report_in_browser import CONTRAST, evaluate, opened
from tests.unit.tuning.test_stages import report_of, staged

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("search")
    write_tuning_page(report_of(*staged(made)), made / "tuning.html")
    return made


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_the_page_of_a_search_is_drawn_without_complaints(
    folder: Path, tmp_path: Path, width: int, scheme: str
) -> None:
    with chromium_page(tmp_path) as page:
        opened(page, folder, width=width, scheme=scheme, name="tuning.html")
        shown, contrast = page.shown(), evaluate(page, CONTRAST)
        n_lines = evaluate(page, "document.querySelectorAll('#parallel polyline').length")
        n_trials = evaluate(page, "document.querySelectorAll('#history circle').length")
    assert page.complaints == []
    assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []
    assert shown["n_wide_drawings"] == 3
    assert n_lines == n_trials > 10
    assert shown["overflow"] == 0
    assert contrast["poor"] == []
    assert contrast["n_colours"] > 1
