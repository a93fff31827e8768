"""Mixed precision and XLA train to the loss of float32, and a GPU's memory is taken as it is needed.

The comparisons run on the CPU too; what only a GPU can show skips where there is none.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.gpu.gpu_process import JOBS

LOSS_RTOL = {"xla": 0.005, "mixed_bfloat16": 0.02, "mixed_float16": 0.02, "xla_mixed_bfloat16": 0.02}
"""How far the loss of each epoch may be from that of float32: 8 bits of a bfloat16 are 0.4 %, and epochs add up."""
NO_GPU = "needs a GPU of NVIDIA"
ON_GPU = pytest.mark.skipif(not Path("/dev/nvidiactl").exists(), reason=NO_GPU)


def rows(device: str) -> dict[str, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.gpu.gpu_process", device, *JOBS],
        capture_output=True, text=True, check=False, timeout=500, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3_000:]
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {row["job"]: row for row in found}


@pytest.fixture(scope="module", params=["CPU", pytest.param("GPU", marks=ON_GPU)])
def trained(request: pytest.FixtureRequest) -> tuple[str, dict[str, dict[str, Any]]]:
    """Every job on a kind of device."""
    return request.param, rows(request.param)


def test_weights_lie_on_the_device_and_stay_float32(trained):
    device, found = trained
    for job in JOBS:
        assert found[job]["devices"] == [device], job
        assert found[job]["dtypes"] == ["float32"], job


@pytest.mark.parametrize("job", sorted(LOSS_RTOL))
def test_every_epoch_has_the_loss_of_float32(trained, job):
    _, found = trained
    for kind in ("losses", "validation_losses"):
        assert found[job][kind] == pytest.approx(found["float32"][kind], rel=LOSS_RTOL[job]), kind


def test_16_bits_change_the_numbers_and_float16_leaves_out_few_steps(trained):
    _, found = trained
    for job in ("mixed_bfloat16", "mixed_float16"):
        assert found[job]["losses"] != found["float32"]["losses"]
        assert found[job]["n_skipped_steps"] <= 2


@ON_GPU
def test_a_training_takes_the_memory_of_a_gpu_as_it_needs_it():
    found = rows("GPU")["memory"]["grows"]
    assert found
    assert all(found)
