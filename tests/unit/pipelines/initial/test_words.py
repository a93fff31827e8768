"""Words in names of columns."""

import pytest

from pipelines.initial.words import names_stock_out, target_rank, words_of


@pytest.mark.parametrize(
    ("name", "words"),
    [("DaysSince_launch", ("days", "since", "launch")), ("unit-price EUR", ("unit", "price", "eur")), ("HTTPLoad2", ("http", "load", "2"))],
)  # fmt: skip
def test_words_end_where_the_case_or_a_sign_changes(name, words):
    assert words_of(name) == words


def test_a_target_word_counts_only_where_no_plan_is_named():
    assert target_rank("target") == 0
    assert target_rank("SalesPrice") is None
    assert target_rank("downloads") is None


@pytest.mark.parametrize(
    ("name", "is_one"), [("StockOut", True), ("is_out_of_stock", True), ("oos", True), ("stock", False)]
)
def test_a_stock_out_is_told_by_its_name(name, is_one):
    assert names_stock_out(name) is is_one
