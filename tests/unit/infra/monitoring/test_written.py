from pathlib import Path

import pytest

from infra.monitoring.written import written_files

ROOT = Path(__file__).parents[4]
FILES = written_files()
MADE_FOLDERS = ("infra/prometheus/rules", "infra/prometheus/tests", "infra/grafana/dashboards")


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_written_file_is_what_the_code_makes(path):
    assert (ROOT / path).read_text(encoding="utf-8") == FILES[path], "run `make monitoring-files`"


def test_no_written_file_is_left_that_the_code_does_not_make():
    found = {path.relative_to(ROOT).as_posix() for folder in MADE_FOLDERS for path in (ROOT / folder).iterdir()}
    assert found == {path.as_posix() for path in FILES if path.parent.as_posix() in MADE_FOLDERS}
