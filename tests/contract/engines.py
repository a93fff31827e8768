"""The engines that run the pipeline, each given what its users give it, with stand-in steps.

What a cluster mounts is the home of a test here: its path is written over the mount path of one compiled definition.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from forecasting.contracts.codes import ExitCode
from tests.contract.argo_interpreter import SUCCEEDED, ArgoInterpreter
from tests.contract.golden_home import GoldenHome, make_golden_home

MOUNT = "/mounted-home"
"""Where the volume of the cluster would be mounted."""

RUN = "almanac-toy-1"
"""The name that the cluster gives its run."""

KUBEFLOW_PROGRAM = """\
import json
import sys
from kfp import components, local

local.init(local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[2])
pipeline = components.load_component_from_file(sys.argv[1])
try:
    pipeline(**json.loads(sys.argv[3]))
except RuntimeError as error:
    sys.exit(str(error))
"""


class Engine(Protocol):
    """Runs the pipeline of a place once, and again only where it does so by itself."""

    def play(self, place: GoldenHome, wish: str) -> bool:
        """Run it; returns whether the engine says that it went well."""


@dataclass(frozen=True)
class AlmanacRun:
    """`almanac run`. It does once more what was killed, and nothing else: 75 asks its caller to resume the run, which is done here."""

    def play(self, place: GoldenHome, wish: str) -> bool:
        """The run, and its resumption where it asks for one."""
        code = place.run(wish=wish).returncode
        if code == ExitCode.RETRY:
            assert place.latest().exit_code == ExitCode.RETRY
            code = place.almanac("run", "--resume", "latest", wish=wish).returncode
        assert code == place.latest().exit_code
        return code in (ExitCode.DONE, ExitCode.DATA_REFUSED, ExitCode.MODEL_REFUSED)


@dataclass(frozen=True)
class KubeflowLocally:
    """The file that Kubeflow Pipelines gets, in `kfp.local`. It knows two placeholders of the cluster not, and no pods."""

    compiled: str

    def play(self, place: GoldenHome, wish: str) -> bool:
        """The file as it is, with the placeholders filled in."""
        done = self.run(place, wish)
        assert place.latest().run == RUN
        return done.returncode == 0

    def run(self, place: GoldenHome, wish: str = "", **parameters: str) -> subprocess.CompletedProcess[str]:
        """What its process prints, which is what the tasks print, too."""
        target = place.folder / "kfp.yaml"
        text = self.compiled.replace("{{$.pipeline_job_resource_name}}", RUN)
        text = text.replace("{{$.pipeline_job_schedule_time_utc}}", "")
        target.write_text(text.replace(MOUNT, str(place.layout.root)))
        done = subprocess.run(
            [sys.executable, "-c", KUBEFLOW_PROGRAM, str(target), str(place.folder / "kfp"), json.dumps(parameters)],
            env=place.environment(wish), cwd=place.folder, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0 or "finished with status" in done.stderr, done.stderr
        return done


@dataclass(frozen=True)
class ArgoLocally:
    """The WorkflowTemplate that Argo gets, in the interpreter of the tests, its pods as processes."""

    compiled: str

    def play(self, place: GoldenHome, wish: str) -> bool:
        """The workflow."""
        return argo_workflow(place, list(yaml.safe_load_all(self.compiled)), wish).run() == SUCCEEDED


def argo_workflow(place: GoldenHome, documents: list[dict[str, Any]], wish: str = "", **arguments: str) -> ArgoInterpreter:  # fmt: skip
    """The workflow of compiled resources. arguments: parameters that it is submitted with."""
    config, scratch = place.folder / "etc", place.folder / "scratch"
    for folder in (config, scratch):
        folder.mkdir(exist_ok=True)
    (found,) = [document["data"] for document in documents if document["kind"] == "ConfigMap"]
    for name, text in found.items():
        (config / name).write_text(text.replace(MOUNT, str(place.layout.root)))
    # The first that fits counts: the home of a test lies below /tmp, too.
    mounts = {MOUNT: place.layout.root, str(place.layout.root): place.layout.root, "/etc/almanac": config, "/tmp": scratch}  # fmt: skip
    environment = {key: value for key, value in place.environment(wish).items() if key != "ALMANAC_HOME"}
    own = {key: value for key, value in environment.items() if os.environ.get(key) != value}
    return ArgoInterpreter(documents, RUN, mounts, own, dict(arguments))


def compile_on_volume(place: GoldenHome, layout: str, *words: str, home: str = MOUNT) -> str:
    """What `almanac compile` writes of the configuration of a place.

    Args:
        place: The place.
        layout: As `--format`.
        words: Further words of the command.
        home: Where the volume is mounted.
    """
    target = place.folder / f"{layout}.yaml"
    done = place.almanac(
        "compile", "-c", str(place.config), "-o", str(target), "--format", layout, "--allow-tags",
        "--set", f"cluster.home={home}", *words,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return target.read_text()


def make_place(folder: Path) -> GoldenHome:
    """A place whose table lies in its home, as a table of a cluster does on the volume."""
    table = folder / "home" / "table.csv"
    table.parent.mkdir(parents=True)
    table.write_text("timestamp,load\n2026-01-01,1\n")
    return make_golden_home(folder, table)
