"""Masks of imputed covariates: a column `NAME_imputed` beside NAME, 1 where its value was filled and not seen."""

from collections.abc import Collection

MASK_SUFFIX = "_imputed"


def mask_name(column: str) -> str:
    """The mask of a column."""
    return f"{column}{MASK_SUFFIX}"


def masks_among(columns: Collection[str]) -> dict[str, str]:
    """The mask of each column that has one, by column."""
    return {column: mask_name(column) for column in columns if mask_name(column) in columns}
