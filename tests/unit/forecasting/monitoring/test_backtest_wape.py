import pytest

from forecasting.backtest.summary import finite_document
from forecasting.monitoring.backtest_wape import backtest_wape
from forecasting.monitoring.horizons import horizon_buckets

BUCKETS = horizon_buckets(3, (1,))


def _record(mae, wape):
    return {"backtest": {"mae": mae, "wape": wape}}


def test_the_wape_of_a_bucket_is_its_errors_over_its_actuals():
    # Steps of which the mean absolute actual is 10, 20 and 5.
    found = backtest_wape(_record([1, 4, 1], [0.1, 0.2, 0.2]), BUCKETS)
    assert found == pytest.approx({"h1": 0.1, "h2_3": 5 / 25})


@pytest.mark.parametrize("record", [{}, {"backtest": {}}, _record([1, 2], [0.1, 0.2])])
def test_a_version_without_errors_by_step_has_none(record):
    assert backtest_wape(record, BUCKETS) == {}


def test_a_step_that_was_not_measured_leaves_its_bucket_out():
    record = _record(*(finite_document(values) for values in ([1.0, float("nan"), 2.0], [0.1, 0.2, 0.2])))
    assert set(backtest_wape(record, BUCKETS)) == {"h1"}
