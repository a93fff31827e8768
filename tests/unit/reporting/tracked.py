"""A run whose version lies in the model repository, as trackers find it: the tiny forecaster of factor 2."""

import json
import shutil
from pathlib import Path

from components.deployment.golden import write_golden as write
from forecasting.contracts.artifacts import DEPLOYMENT_FILE
from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import StepName
from forecasting.repository import ModelRepository
from tests.unit.reporting.runs import end_step, whole_run
from tests.unit.serving import tiny_models

DIGEST = "d" * 64


def deployed_run(root: Path, cache: Path, *, approval: str = "") -> RunLayout:
    """A run in the home `root` that deployed version 1, which is champion, or candidate where a person must approve."""
    run = whole_run(root, approval=approval)
    source = root / "source"
    source.mkdir()
    shutil.copyfile(tiny_models.build(cache) / "lite" / "2.tflite", source / "model.tflite")
    repository = ModelRepository(HomeLayout(root).models)
    version = repository.publish("demand", source, {"run": run.name, "digest": DIGEST})
    (repository.set_candidate if approval else repository.promote)("demand", version)
    write_golden(run.step(StepName.VALIDATE_SERVING) / "golden.npz")
    end_step(run, StepName.VALIDATE_SERVING)
    path = run.step(StepName.DEPLOY_MODEL) / DEPLOYMENT_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": version}))
    end_step(run, StepName.DEPLOY_MODEL, summary="version 1 (tflite_int8) promoted to champion")
    return run


def write_golden(path: Path) -> None:
    """A request to the forecaster, with its answer."""
    inputs = tiny_models.window(target=10.0, temperature=1.0)
    write(path, inputs, tiny_models.expected(inputs, 2.0).astype("float32"))
