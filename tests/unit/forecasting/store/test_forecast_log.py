import logging
import os
import resource
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from forecasting.store.forecast_log import ForecastLog, ForecastLogReport
from forecasting.store.forecasts import ForecastQuery, read_forecasts
from forecasting.store.spill import DamagedSpillError, ForecastSpill, read_spill, waiting_spills
from tests.unit.forecasting.store.stores import batch

NEVER_S = 60.0
"""A flush that no test lives to see."""


def open_log(store, tmp_path, **settings) -> ForecastLog:
    return ForecastLog(store, tmp_path / "spill", **{"flush_interval_s": NEVER_S, "queue_size": 100, **settings})


def wait_until(holds: Callable[[], object], *, limit_s: float = 60.0) -> None:
    ends, pause = time.monotonic() + limit_s, threading.Event()
    while not holds():
        assert time.monotonic() < ends, "what was waited for did not come"
        pause.wait(0.01)


def requests_of(store) -> list[str]:
    return sorted({found.request for found in read_forecasts(store, ForecastQuery(model="load"))})


def test_closing_writes_what_is_waiting(store, tmp_path):
    log = open_log(store, tmp_path)
    log.append(batch())
    log.append(batch(request="r2"))
    assert log.report() == ForecastLogReport(waiting=4, written=0, spilled=0, refused=0)
    assert log.close() == ForecastLogReport(waiting=0, written=4, spilled=0, refused=0)
    assert requests_of(store) == ["r1", "r2"]


def test_the_thread_writes_every_interval(store, tmp_path):
    log = open_log(store, tmp_path, flush_interval_s=0.01)
    log.append(batch())
    wait_until(lambda: log.report().written >= 2)
    assert requests_of(store) == ["r1"]
    log.close()


def test_what_is_more_than_the_queue_takes_goes_to_a_file_and_from_there_into_the_store(store, tmp_path):
    log = open_log(store, tmp_path, queue_size=3)
    log.append(batch())
    log.append(batch(request="r2"))
    assert log.report() == ForecastLogReport(waiting=2, written=0, spilled=2, refused=0)
    log.close()
    assert requests_of(store) == ["r1"]
    after = open_log(store, tmp_path, flush_interval_s=0.01)
    wait_until(lambda: not waiting_spills(tmp_path / "spill"))
    after.close()
    assert requests_of(store) == ["r1", "r2"]


def test_what_the_store_does_not_take_goes_to_a_file_and_closing_loses_nothing(store, tmp_path):
    # Another writer holds the store while the log closes.
    with store.writing() as connection:
        if store.is_postgresql:
            connection.execute(text("LOCK TABLE forecasts IN EXCLUSIVE MODE"))
        other = ForecastLog(store, tmp_path / "spill", flush_interval_s=NEVER_S, queue_size=100)
        other.append(batch())
        report = other.close(timeout_s=0.2)
    assert report.spilled == 2
    (path,) = waiting_spills(tmp_path / "spill")
    assert [found.request for found in read_spill(path)] == ["r1"]


def test_a_forecast_that_no_database_takes_is_named_and_the_others_are_written(store, tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    log = open_log(store, tmp_path)
    log.append(batch())
    log.append(batch(request="half \ud800"))
    log.append(batch(request="r2"))
    assert log.close() == ForecastLogReport(waiting=0, written=4, spilled=0, refused=2)
    assert requests_of(store) == ["r1", "r2"]
    assert "refuses the forecast of ['b'] of request 'half \\ud800'" in caplog.text


def test_of_a_request_only_the_series_that_no_database_takes_is_refused(store, tmp_path):
    log = open_log(store, tmp_path)
    log.append(batch(series=("a", "half \ud800", "c"), flags=np.array([1, 2, 4]), problems=("x", "y", "z")))
    assert log.close() == ForecastLogReport(waiting=0, written=2, spilled=0, refused=1)
    found = read_forecasts(store, ForecastQuery(model="load"))
    assert [(one.series, int(one.flags), one.problem, one.quantiles[0, 0]) for one in found] == [
        ("a", 1, "x", 0),
        ("c", 4, "z", 12),
    ]


def test_what_a_store_without_its_table_does_not_take_waits_in_a_file(store, tmp_path):
    with store.writing() as connection:
        connection.execute(text("ALTER TABLE forecasts RENAME TO forecasts_elsewhere"))
    log = open_log(store, tmp_path)
    log.append(batch())
    assert log.close() == ForecastLogReport(waiting=0, written=0, spilled=2, refused=0)
    (path,) = waiting_spills(tmp_path / "spill")
    with store.writing() as connection:
        connection.execute(text("ALTER TABLE forecasts_elsewhere RENAME TO forecasts"))
    after = open_log(store, tmp_path, flush_interval_s=0.01)
    wait_until(lambda: not path.exists())
    after.close()
    assert requests_of(store) == ["r1"]


def test_a_closed_log_takes_nothing(store, tmp_path):
    log = open_log(store, tmp_path)
    log.close()
    with pytest.raises(RuntimeError, match="a closed forecast log"):
        log.append(batch())


def test_a_file_holds_a_batch_as_it_was(tmp_path):
    spill = ForecastSpill(tmp_path)
    spill.append([batch(flags=np.array([1, 4]), latency_us=7, problems=("x", "")), batch(request="ü", answers=None)])
    spill.seal()
    (path,) = waiting_spills(tmp_path)
    first, second = read_spill(path)
    assert first.rows() == batch(flags=np.array([1, 4]), latency_us=7, problems=("x", "")).rows()
    assert second.rows() == batch(request="ü", answers=None).rows()


@pytest.mark.parametrize("n_cut", [1, 60])
def test_a_file_with_a_record_that_was_cut_short_is_read_up_to_it_and_stays(store, tmp_path, n_cut, caplog):
    spill = ForecastSpill(tmp_path / "spill")
    spill.append([batch(), batch(request="r2")])
    spill.seal()
    (path,) = waiting_spills(tmp_path / "spill")
    os.truncate(path, path.stat().st_size - n_cut)
    content = path.read_bytes()
    log = open_log(store, tmp_path, flush_interval_s=0.01)
    wait_until(lambda: not path.exists())
    log.close()
    assert requests_of(store) == ["r1"]
    assert path.with_suffix(".damaged").read_bytes() == content
    assert "was cut short or changed; the file stays as" in caplog.text


def test_a_record_of_another_form_is_said_to_be_one(tmp_path):
    spill = ForecastSpill(tmp_path)
    spill.append([batch()])
    spill.seal()
    (path,) = waiting_spills(tmp_path)
    body = b'{"role": "of a later version"}'
    path.write_bytes(path.read_bytes() + struct.pack("<II", len(body), zlib.crc32(body)) + body)
    with pytest.raises(DamagedSpillError, match="is of another form"):
        list(read_spill(path))


def test_half_a_record_of_a_full_disk_is_taken_back_so_that_what_follows_is_found(tmp_path):
    spill = ForecastSpill(tmp_path)
    spill.append([batch()])
    (path,) = waiting_spills(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 40, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            spill.append([batch(request="r2")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    spill.append([batch(request="r3")])
    spill.seal()
    assert [found.request for found in read_spill(path)] == ["r1", "r3"]


def test_a_file_that_cannot_be_read_keeps_nothing_else_from_being_written(store, tmp_path, caplog):
    # A folder cannot be read as a file by anybody, whatever their rights.
    (tmp_path / "spill" / "0.spill").mkdir(parents=True)
    spill = ForecastSpill(tmp_path / "spill")
    spill.append([batch()])
    spill.seal()
    log = open_log(store, tmp_path, flush_interval_s=0.01)
    wait_until(lambda: log.report().written >= 2)
    log.append(batch(request="r2"))
    wait_until(lambda: log.report().written >= 4)
    log.close()
    assert requests_of(store) == ["r1", "r2"]
    assert "0.spill stays until the next start" in caplog.text


def test_a_file_can_be_found_only_once_it_is_locked(tmp_path):
    found, is_watching = [], True

    def watch(event: str, _arguments: tuple) -> None:
        if is_watching and event == "fcntl.flock":
            found.append(waiting_spills(tmp_path))

    # A hook stays for the life of the process; what it is told of ends with the test.
    sys.addaudithook(watch)
    spill = ForecastSpill(tmp_path)
    spill.append([batch()])
    is_watching = False
    assert found == [[]]
    assert len(waiting_spills(tmp_path)) == 1


def test_a_file_that_is_being_written_is_left_alone(store, tmp_path):
    writing = ForecastSpill(tmp_path / "spill")
    writing.append([batch()])
    log = open_log(store, tmp_path, flush_interval_s=0.01)
    log.append(batch(request="r2"))
    wait_until(lambda: log.report().written >= 2)
    log.close()
    assert requests_of(store) == ["r2"]
    assert len(waiting_spills(tmp_path / "spill")) == 1


ANSWERING = """
import sys
from pathlib import Path
from forecasting.store.address import store_address
from forecasting.store.forecast_log import ForecastLog
from forecasting.store.opening import open_store
from tests.unit.forecasting.store.stores import batch

store = open_store(store_address(sys.argv[1], Path()))
log = ForecastLog(store, Path(sys.argv[2]), flush_interval_s=0.05, queue_size=10)
for number in range(1_000_000):
    log.append(batch(request=f"{number:09d}"))
    print(number, flush=True)
"""


def test_a_kill_loses_no_more_than_what_waited_in_memory(store, address, tmp_path):
    url = address.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", ANSWERING, url, str(tmp_path / "spill")]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[4], stdout=subprocess.PIPE, text=True)
    while (answered := int(process.stdout.readline())) < 500:
        pass
    process.send_signal(signal.SIGKILL)
    answered = max([answered, *(int(line) for line in process.stdout.read().split("\n")[:-1])])
    process.wait()
    log = open_log(store, tmp_path, flush_interval_s=0.01)
    wait_until(lambda: not waiting_spills(tmp_path / "spill"))
    log.close()
    n_found = len(requests_of(store))
    # Of two series each, at most ten in the queue and one batch of those in the writer's hands.
    assert answered + 1 - 10 <= n_found <= answered + 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"origins": np.array([0])}, "must have 2 origins"),
        ({"problems": ("x",)}, "must have 2 origins, answers, flags and problems"),
        ({"answers": np.zeros((2, 3, 4), np.float32)}, r"must be \[2, 3, 2\], with a mean one column more"),
        ({"n_steps": 4}, r"must be \[2, 4, 2\]"),
    ],
)
def test_a_batch_whose_parts_do_not_fit_is_refused_where_it_is_made(fields, message):
    with pytest.raises(ValueError, match=message):
        batch(**fields)


def test_numbers_of_another_kind_are_refused_where_a_batch_is_made():
    with pytest.raises(TypeError, match="version must be an int"):
        batch(version=np.int64(3))
