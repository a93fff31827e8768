import gzip
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from components.compression.measure import Stopwatch, ended, file_sizes
from forecasting.errors import ArtifactError
from tests.unit.serving.tiny_models import build, window

WINDOWS = window(n=40)


@pytest.fixture(scope="module")
def models(pytestconfig: pytest.Config) -> Path:
    return build(Path(pytestconfig.cache.mkdir("tiny-models")))


def test_models_are_timed_in_turns_each_in_a_process_of_its_own(models: Path, tmp_path: Path) -> None:
    with Stopwatch(WINDOWS, tmp_path) as stopwatch:
        stopwatch.start("small", models / "lite" / "1.tflite")
        stopwatch.start("other", models / "lite" / "2.tflite")
        found = stopwatch.measure(needed="small")
    assert list(found) == ["small", "other"]
    for report in found.values():
        assert 0 < report.p50_ms <= report.p99_ms
        assert report.load_s > 0
        assert report.peak_memory_bytes is not None
        assert report.peak_memory_bytes >= 0
        assert set(report.forecasts_per_s) == {1, 32, 256}
        assert min(report.forecasts_per_s.values()) > 0


def test_a_model_that_cannot_be_loaded_fails_alone_and_says_why(models: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no model")
    with Stopwatch(WINDOWS, tmp_path) as stopwatch:
        stopwatch.start("broken", broken)
        stopwatch.start("whole", models / "lite" / "1.tflite")
        found = stopwatch.measure(needed="whole")
        assert list(found) == ["whole"]
        assert "broken cannot be measured: its process ended with 1: " in stopwatch.failures["broken"]
        assert stopwatch.failures["broken"].endswith("The model is not a valid Flatbuffer buffer")


def test_a_model_that_hangs_is_ended_and_named_and_the_others_are_measured(models: Path, tmp_path: Path) -> None:
    hanging = tmp_path / "hanging.tflite"
    os.mkfifo(hanging)  # Nobody ever writes to it, so that reading it takes for ever.
    with Stopwatch(WINDOWS, tmp_path, limit_s=3.0) as stopwatch:
        stopwatch.start("hanging", hanging)
        stopwatch.start("whole", models / "lite" / "1.tflite")
        found = stopwatch.measure(needed="whole")
    assert list(found) == ["whole"]
    assert stopwatch.failures == {
        "hanging": "hanging cannot be measured: loading must take 3 s at most, and its process gave no answer; it was ended"
    }


def test_models_are_loaded_one_after_another(models: Path, tmp_path: Path) -> None:
    """The second has a file only once the first is being read: side by side, it would look for it before."""
    first, second = tmp_path / "first.tflite", tmp_path / "second.tflite"
    os.mkfifo(first)
    content = (models / "lite" / "1.tflite").read_bytes()
    with Stopwatch(WINDOWS, tmp_path) as stopwatch, ThreadPoolExecutor(1) as pool:
        stopwatch.start("first", first)
        stopwatch.start("second", second)
        found = pool.submit(stopwatch.measure)
        # Opening waits until somebody reads.
        with first.open("wb") as stream:
            second.write_bytes(content)
            stream.write(content)
        assert list(found.result()) == ["first", "second"]


def test_without_the_model_that_is_needed_there_is_no_result(tmp_path: Path) -> None:
    with Stopwatch(WINDOWS, tmp_path) as stopwatch:
        stopwatch.start("saved_model", tmp_path / "gone.tflite")
        with pytest.raises(ArtifactError, match="saved_model cannot be measured"):
            stopwatch.measure(needed="saved_model")


def test_a_process_that_goes_on_after_its_last_word_is_killed() -> None:
    """It closes its answers and then reads what nobody ever writes."""
    command = [sys.executable, "-c", "import os, sys; os.close(1); sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read() == b""
        assert ended(process, limit_s=0.05) == -signal.SIGKILL


def test_a_process_that_ends_by_itself_keeps_its_status() -> None:
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]) as process:
        assert ended(process) == 3


def test_what_measures_a_lite_model_imports_no_tensorflow() -> None:
    code = (
        "import sys; from components.compression.measure_process import import_runtime; import_runtime('lite');"
        " import forecasting.runtimes.lite, forecasting.wire.lite_signatures;"
        " sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras', 'pandas', 'pyarrow')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_sizes_are_those_of_the_file_and_of_its_gzip(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"a" * 10_000)
    size, compressed = file_sizes(path)
    assert size == 10_000
    assert compressed == len(gzip.compress(b"a" * 10_000, 6, mtime=0)) < 100
