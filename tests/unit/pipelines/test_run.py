"""Running the pipeline on this machine."""

from forecasting.wire.server_process import STOP_S
from pipelines.run import STOP_GRACE_S


def test_a_step_can_stop_the_server_that_it_started_before_it_is_killed_itself() -> None:
    assert STOP_S + 2 < STOP_GRACE_S
