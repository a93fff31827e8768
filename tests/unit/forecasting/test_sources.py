import sqlite3
import zipfile

import pytest
import sqlalchemy

from forecasting.contracts.layout import home_layout
from forecasting.errors import DataError
from forecasting.sources import reading, source_address


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("gone"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "gone"),
        zipfile.BadZipFile("gone"),
        sqlalchemy.exc.OperationalError("SELECT", {}, sqlite3.OperationalError("gone")),
    ],
)
def test_an_error_of_reading_becomes_one_line(error, tmp_path):
    with (
        pytest.raises(DataError, match=r"t\.csv cannot be read: .*gone") as found,
        reading(source_address(f"{tmp_path}/t.csv", home_layout(tmp_path))),
    ):
        raise error
    assert len(str(found.value).splitlines()) == 1


def test_a_bug_in_a_reader_is_not_taken_for_an_unreadable_table(tmp_path):
    with pytest.raises(AttributeError), reading(source_address(f"{tmp_path}/t.csv", home_layout(tmp_path))):
        None.missing  # noqa: B018
