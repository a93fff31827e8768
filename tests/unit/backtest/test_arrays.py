"""Arrays of forecasts in memory and in a nameless file."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from forecasting.backtest.arrays import forecast_array


def test_small_array_is_in_memory() -> None:
    assert not isinstance(forecast_array((10, 2), in_memory_bytes=81), np.memmap)


def test_large_array_is_in_a_file_that_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    array = forecast_array((10, 2), in_memory_bytes=80)
    assert isinstance(array, np.memmap)
    assert list(tmp_path.iterdir()) == []
    array[3:5] = 7.0
    assert array[3:5].tolist() == [[7.0, 7.0], [7.0, 7.0]]


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a file system in memory, which says no at once")
def test_array_that_the_folder_has_no_room_for_is_an_error_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/dev/shm")
    n_floats = shutil.disk_usage("/dev/shm").total // 2
    with pytest.raises(OSError, match=r"/dev/shm must have room for .* of forecasts, found No space left on device"):
        forecast_array((n_floats,))


@pytest.mark.parametrize("in_memory_bytes", [1, 1_000])
def test_array_holds_what_it_is_filled_with(in_memory_bytes: int) -> None:
    assert np.isnan(forecast_array((10, 2), fill=np.nan, in_memory_bytes=in_memory_bytes)).all()


def test_room_is_taken_where_the_system_has_no_call_for_it(monkeypatch):
    monkeypatch.delattr("os.posix_fallocate")
    array = forecast_array((600_001,), in_memory_bytes=1)
    assert array.shape == (600_001,)
    assert not array.any()
