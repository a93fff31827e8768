"""Scoring once more, on a real PostgreSQL server: its fixture `store` is all that differs."""

import pytest

from tests.unit.serving.monitor.conftest import make_monitor, repository  # noqa: F401
from tests.unit.serving.monitor.test_bounded_rounds import (  # noqa: F401
    test_a_forecast_that_reaches_the_store_after_its_actuals_is_looked_at_in_the_next_round,
    test_a_monitor_that_starts_again_goes_on_where_the_last_one_was,
    test_a_new_actual_lets_only_the_forecasts_of_its_step_be_looked_at,
    test_a_series_without_actuals_is_looked_at_once,
    test_forecasts_are_in_again_where_the_latest_target_is_withdrawn,
    test_rounds_between_random_posts_come_to_what_one_look_at_everything_comes_to,
    test_what_was_looked_at_is_not_kept_in_the_log_of_changes,
)
from tests.unit.serving.monitor.test_live_accuracy import (  # noqa: F401
    test_a_forecast_is_scored_step_by_step_as_actuals_come,
    test_a_monitor_that_starts_again_counts_no_point_twice,
    test_a_restated_actual_is_scored_again_and_a_withdrawn_one_no_more,
    test_champion_candidate_shadow_and_fallback_are_scored_apart_by_version,
    test_only_the_monitor_with_the_lease_scores_and_the_other_one_takes_over,
    test_the_page_shows_the_backtest_the_delays_and_the_latest_times,
)

pytestmark = pytest.mark.services
