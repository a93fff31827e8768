"""What follows from a feature spec."""

from forecasting.features.spec import history_length
from forecasting.features.terms import RollingTerm


def test_the_history_is_the_context_and_what_the_longest_rolling_window_needs_before_it():
    assert history_length(336, [RollingTerm("x", window, "mean") for window in (24, 168, 72)]) == 336 + 167
    assert history_length(336, []) == 336
