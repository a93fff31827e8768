import logging

from forecasting.answering.fallback import FallbackCause
from serving.gateway.fallback_warnings import FallbackWarnings


def test_a_warning_a_minute_counts_those_that_were_not_said(caplog):
    times = iter([0.0, 10.0, 59.0, 61.0, 62.0])
    warnings = FallbackWarnings(clock=lambda: next(times))
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            warnings.say(FallbackCause.QUARANTINE, 5, "stuck")
        warnings.say(FallbackCause.MODEL_SERVER, 1, "gone")
    assert [record.getMessage() for record in caplog.records] == [
        "5 series answered by the seasonal naive forecast (quarantine): stuck",
        "15 series answered by the seasonal naive forecast (quarantine): stuck",
        "1 series answered by the seasonal naive forecast (model_server): gone",
    ]
