"""Blocks of a blocked cross-validation."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.backtest.blocks import block_of, plan_blocks
from forecasting.errors import DataError
from tests.unit.backtest.tables import DAY_S, HOUR_S, MONDAY


def plan(days: int, n_blocks: int, fold_days: int):
    return plan_blocks(
        MONDAY, MONDAY + days * DAY_S, n_blocks=n_blocks, length_s=fold_days * DAY_S, embargo_s=DAY_S, step_s=HOUR_S
    )


def test_each_block_ends_with_its_fold_and_the_next_begins_behind_an_embargo() -> None:
    blocks = plan(30, 3, 2)
    days = [
        tuple((at - MONDAY) // DAY_S for at in (block.train_from, block.fold.start, block.fold.end)) for block in blocks
    ]
    assert days == [(0, 8, 10), (11, 18, 20), (21, 28, 30)]
    assert [block.fold.number for block in blocks] == [1, 2, 3]
    assert block_of(blocks, MONDAY + 18 * DAY_S) is blocks[1]


def test_days_that_make_no_block_are_of_the_first() -> None:
    blocks = plan(31, 3, 2)
    assert blocks[0].train_from == MONDAY
    assert blocks[-1].fold.end == MONDAY + 31 * DAY_S


@given(days=st.integers(40, 200), n_blocks=st.integers(1, 4), fold_days=st.integers(1, 2))
def test_blocks_follow_each_other_and_no_fit_learns_from_its_fold_or_another(
    days: int, n_blocks: int, fold_days: int
) -> None:
    blocks = plan(days, n_blocks, fold_days)
    assert all(block.train_from < block.fold.trained_at == block.fold.start < block.fold.end for block in blocks)
    assert all(second.train_from - first.fold.end == DAY_S for first, second in itertools.pairwise(blocks))


def test_a_block_too_short_to_be_trained_in_is_refused() -> None:
    with pytest.raises(DataError, match=r"each of 3 blocks .* must hold 4 times its fold of 72 steps"):
        plan(30, 3, 3)
