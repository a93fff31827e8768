"""compress_model is killed in the middle of a fine-tuning, and goes on with what it had done."""

import json
import logging
import signal
import subprocess
import sys

from components.compression.compress_model import compress_model
from forecasting.code_closure import PROJECT_ROOT
from forecasting.config import step_settings
from forecasting.contracts.steps import StepName
from forecasting.tournament import VariantStatus, read_tournament
from tests.unit.training.small_run import SmallRun, make_small_run, small_config

NAMES = ["tflite_float32", "tflite_int8_aware", "magnitude_50_tflite_float32"]
STEP = StepName.COMPRESS_MODEL
CHILD = """
import logging, sys
from pathlib import Path
from tests.unit.compression.test_killed import compress_here
from tests.unit.training.small_run import SmallRun
logging.basicConfig(level=logging.INFO, format="%(message)s")
compress_here(SmallRun(Path(sys.argv[1])))
"""


def compress_here(run: SmallRun) -> None:
    compression = {
        "variants": NAMES, "max_accuracy_loss": 10.0, "finetune_steps": 200, "n_parity_windows": 8, "time_budget_s": 3600,
    }  # fmt: skip
    config = small_config(training={"refit": False}, compression=compression)
    run.directory(STEP).mkdir(exist_ok=True)
    compress_model(step_settings(config, STEP), run.inputs(STEP), run.directory(STEP), run.context)


def kill_while_pruning(run: SmallRun) -> None:
    """Kill a process that compresses when it is half through the last fine-tuning."""
    command = [sys.executable, "-c", CHILD, str(run.folder)]
    with subprocess.Popen(command, cwd=PROJECT_ROOT, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr or ():
            if line.startswith("magnitude_50: step 100 of 200"):
                process.kill()
        assert process.wait() == -signal.SIGKILL


def test_a_killed_process_leaves_its_seconds_its_variants_and_the_network_fine_tuned_for_int8(tmp_path, caplog):
    run = make_small_run(tmp_path / "run")
    run.perform(StepName.TRAIN_MODEL, training={"refit": False})
    kill_while_pruning(run)
    kept = run.context.run.checkpoint(STEP)
    assert not (kept / "magnitude_50.npz").exists()
    spent_s = json.loads((kept / "clock.json").read_text())["spent_s"]
    records = {name: json.loads((kept / name / "record.json").read_text()) for name in NAMES[:2]}
    # More than the variants that were made: what was imported, and what was being done.
    assert spent_s > sum(record["build_s"] for record in records.values())

    # As if it had been killed between the fine-tuning for INT8 and the record of the variant.
    (kept / "tflite_int8_aware" / "record.json").unlink()
    network = (kept / "aware.npz").stat().st_mtime_ns
    caplog.set_level(logging.INFO)
    compress_here(run)
    said = [record.getMessage() for record in caplog.records]
    assert "tflite_float32 was made before this run was stopped" in said
    assert not [line for line in said if line.startswith("fine-tuning for INT8: step")]
    assert [line for line in said if line.startswith("magnitude_50: step 200 of 200")]
    assert (kept / "aware.npz").stat().st_mtime_ns == network
    assert json.loads((kept / "clock.json").read_text())["spent_s"] > spent_s
    variants = {variant.name: variant for variant in read_tournament(run.directory(STEP) / "tournament.json")}
    assert {variants[name].status for name in NAMES} == {VariantStatus.BUILT}
    assert variants["tflite_float32"].build_s == records["tflite_float32"]["build_s"]
