"""Words that tables are written with."""

MISSING_WORDS = ("", "na", "n/a", "nan", "null", "none", "#n/a", "-")
"""Words, in any case, that stand for a missing number."""
