"""Processes that are started and announce where they listen."""

import re
import sys
import time

from forecasting.wire.server_process import listening_process

TALKER = "import sys, time; print('at x:1', flush=True); time.sleep(60)"


def test_nothing_of_a_process_that_ended_stays_open(tmp_path):
    command = [sys.executable, "-c", TALKER]
    with listening_process(command, {"http": re.compile(r"at (\S+)")}, log=tmp_path / "log") as (process, addresses):
        assert addresses == {"http": "x:1"}
        process.kill()
        process.wait(20)
        deadline_s = time.monotonic() + 20
        while not process.stdout.closed and time.monotonic() < deadline_s:
            time.sleep(0.01)
        assert process.stdout.closed
