"""What a column holds is seen from its values."""

import pyarrow as pa
import pytest

from pipelines.initial.look import ColumnKind
from tests.unit.pipelines.initial.tables import look_of


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["2024-01-01", "2024-01-02"], ColumnKind.TIME),
        (["2024-01-01T00:00:00Z", "2024-01-01T01:00:00Z"], ColumnKind.TIME),
        (["1.5", "NA", "-3"], ColumnKind.NUMBER),
        (["TRUE", "FALSE"], ColumnKind.FLAG),
        (["0", "1", ""], ColumnKind.FLAG),
        (["1", "2"], ColumnKind.NUMBER),
        (["red", "blue"], ColumnKind.TEXT),
        (["31.12.2024", "1.1.2025"], ColumnKind.TEXT),
        (["2024", "2025"], ColumnKind.NUMBER),
        (["", "NA"], ColumnKind.EMPTY),
    ],
)
def test_the_kind_of_a_column_of_text(values, kind):
    assert look_of(x=values).column("x").kind is kind


def test_eight_digits_are_dates_only_where_the_name_says_so():
    digits = ["20240101", "20240102"]
    look = look_of(date=digits, amount=digits)
    assert [column.kind for column in look.columns] == [ColumnKind.TIME, ColumnKind.NUMBER]


def test_typed_columns_keep_their_kind():
    look = look_of(
        is_csv=False, time=pa.array([0, 3600], pa.timestamp("s")), on=[True, False], name=pa.array(["a", "b"]).dictionary_encode()
    )  # fmt: skip
    assert [column.kind for column in look.columns] == [ColumnKind.TIME, ColumnKind.FLAG, ColumnKind.TEXT]


def test_missing_words_are_no_values_of_a_column():
    column = look_of(x=["a", "NA", "b", "a", ""]).column("x")
    assert column.n_distinct == 2
    assert column.codes.tolist() == [0, -1, 1, 0, -1]


def test_one_bad_number_that_the_sample_missed_makes_a_column_unreadable_with_its_line():
    values = ["1.5"] * 50_000
    values[40_001] = "broken"
    look = look_of(x=values)
    assert look.column("x").kind is ColumnKind.TEXT
    assert "line 40003 has 'broken'" in look.problems["x"]
