"""The compact page: its numbers by hand, and that it needs nothing from elsewhere."""

import re

import numpy as np

from components.validation.page import PageFigures, missing_cells
from components.validation.validate_data import validate_data
from forecasting.schema import Series, SeriesSpec, SplitSpec
from tests.unit.validation.tables import hourly_lines, write_table

NAN = np.nan


def test_missing_steps_are_counted_in_equal_parts_of_the_time():
    one = Series("a", 4 * 60, np.array([[1.0], [NAN], [NAN], [NAN]]))
    found = missing_cells(one, first=0, end=8 * 60, step_s=60, n_cells=4)
    np.testing.assert_array_equal(found, [NAN, NAN, 0.5, 1.0])


def test_the_usual_course_is_the_mean_of_each_step_of_the_season():
    spec = SeriesSpec("y", (), (), (), {}, 60, SplitSpec(0, 0, 1000))
    first = Series("a", 60, np.array([[1.0], [2.0], [3.0], [NAN]]))
    second = Series("b", 0, np.array([[5.0]]))
    figures = PageFigures(spec, season=2, first=0, extent=(1.0, 5.0))
    figures.add(first)
    figures.add(second)
    assert figures.course.tolist() == [(2 + 5) / 2, 2.0]
    counts, edges = figures.distribution
    assert (counts.sum(), counts[0], counts[-1], edges[0], edges[-1]) == (4, 1, 1, 1.0, 5.0)


def test_the_page_shows_checks_quarantine_and_three_drawings_without_a_network(make_settings, context, tmp_path):
    lines = [f"{line},<s{i}>" for i in range(6) for line in hourly_lines(200)]
    lines[210:330] = [f"{line.split(',')[0]},,1,<s1>" for line in lines[210:330]]
    uri = write_table(tmp_path / "t.csv", lines, header="time,load,temperature,site")
    output = tmp_path / "out"
    output.mkdir()
    settings = make_settings(uri, data={"id_columns": ["site"]}, validation={"data_docs": False})
    validate_data(settings, {}, output, context)
    page = (output / "validation.html").read_text()
    assert page.count("<svg") == 3
    assert "<td>&lt;s1&gt;</td><td>missing_target: 60.00% of the steps are without a target" in page
    assert "t.csv: passed" in page
    assert not re.search(r"<script|<link|https?:|<s1>", page)
