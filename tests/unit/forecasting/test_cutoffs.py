from datetime import UTC, datetime

import pytest

from forecasting.cutoffs import parse_cutoff
from forecasting.errors import ConfigError


@pytest.mark.parametrize("text", ["2014-12-01T00:00:00Z", "2014-12-01T11:00:00+11:00", "20141201T000000Z"])
def test_one_moment_has_one_form_however_it_was_written(text):
    assert parse_cutoff(text) == datetime(2014, 12, 1, tzinfo=UTC)
    assert parse_cutoff(text).tzinfo is UTC


@pytest.mark.parametrize("text", ["2014-12-31", "2014-12-31T00:00", "2014-12-31Z", "tomorrow"])
def test_a_cutoff_without_a_zone_or_a_time_is_refused_with_a_whole_example(text):
    with pytest.raises(ConfigError, match="such as 2014-12-01T00:00:00Z; found"):
        parse_cutoff(text)
