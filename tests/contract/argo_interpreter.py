"""Carries out a rendered WorkflowTemplate as Argo would: depends, when, outputs, retries, onExit; pods are subprocesses."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SUCCEEDED, FAILED, SKIPPED, OMITTED = "Succeeded", "Failed", "Skipped", "Omitted"
_NEVER = 'asInt(lastRetry.duration) < 0 && (lastRetry.status == "Error" || lastRetry.exitCode in [])'
_EXPRESSION = re.compile(
    r'asInt\(lastRetry\.duration\) < (\d+) && \(lastRetry\.status == "Error" \|\| lastRetry\.exitCode in \[([", 0-9]*)\]\)'
)
_REFERENCE = re.compile(r"\{\{([^}]+)\}\}")


@dataclass
class ArgoInterpreter:
    """One workflow. mounts: local folder of each mount path; environment: beside that of the containers."""

    documents: list[dict[str, Any]]
    name: str
    mounts: Mapping[str, Path]
    environment: Mapping[str, str]
    arguments: dict[str, str] = field(default_factory=dict)
    phases: dict[str, str] = field(default_factory=dict)
    attempts: dict[str, list[int]] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)

    def run(self) -> str:
        """The whole workflow; returns its phase."""
        spec = self._spec
        given = spec["arguments"]["parameters"]
        parameters = {entry["name"]: entry["value"] for entry in given if "value" in entry} | self.arguments
        self.known = {f"workflow.parameters.{key}": value for key, value in parameters.items()}
        self.known["workflow.name"] = self.name
        self.phases = {}
        return self._go_on()

    def retry(self) -> str:
        """What `argo retry` does to a workflow that failed: tasks that succeeded or were skipped are not done again."""
        kept = {name: phase for name, phase in self.phases.items() if phase in (SUCCEEDED, SKIPPED)}
        self.phases = {name: phase for name, phase in kept.items() if name != "onExit"}
        return self._go_on()

    def _go_on(self) -> str:
        spec = self._spec
        entry = self._template(spec["entrypoint"])
        tasks = entry["dag"]["tasks"] if "dag" in entry else [{"name": entry["name"], "template": entry["name"]}]
        for task in [task for task in _ordered(tasks) if task["name"] not in self.phases]:
            self.phases[task["name"]] = self._task(task)
        phase = FAILED if FAILED in self.phases.values() else SUCCEEDED
        self.known["workflow.status"] = phase
        if "onExit" in spec:
            self.phases["onExit"] = self._pod("onExit", self._template(spec["onExit"]), {})
        return phase

    @property
    def _spec(self) -> dict[str, Any]:
        return next(found["spec"] for found in self.documents if found["kind"] == "WorkflowTemplate")

    def _template(self, name: str) -> dict[str, Any]:
        (found,) = [template for template in self._spec["templates"] if template["name"] == name]
        return found

    def _task(self, task: dict[str, Any]) -> str:
        if not self._may_begin(task.get("depends", "")):
            return OMITTED
        if "when" in task and not _holds(self._filled(task["when"], {})):
            return SKIPPED
        inputs = {
            f"inputs.parameters.{entry['name']}": entry["value"]
            for entry in task.get("arguments", {}).get("parameters", [])
        }
        return self._pod(task["name"], self._template(task["template"]), inputs)

    def _may_begin(self, depends: str) -> bool:
        if not depends:
            return True
        name, _, state = depends.partition(".")
        # Without a state Argo takes a skipped task for a done one.
        return self.phases[name] == state if state else self.phases[name] in (SUCCEEDED, SKIPPED)

    def _pod(self, task: str, template: dict[str, Any], inputs: dict[str, str]) -> str:
        retry = template.get("retryStrategy", {"limit": 0, "expression": _NEVER})
        codes = self.attempts.setdefault(task, [])
        for _ in range(int(retry["limit"]) + 1):
            began = time.monotonic()
            codes.append(self._container(template["container"], inputs, template["activeDeadlineSeconds"]))
            if codes[-1] == 0:
                self._keep_outputs(task, template)
                return SUCCEEDED
            if not _again(retry["expression"], codes[-1], time.monotonic() - began):
                break
        return FAILED

    def _container(self, container: dict[str, Any], inputs: dict[str, str], deadline_s: int) -> int:
        words = [self._local(self._filled(word, inputs)) for word in [*container["command"], *container["args"]]]
        set_here = {entry["name"]: self._local(entry["value"]) for entry in container["env"] if "value" in entry}
        done = subprocess.Popen([sys.executable, *words[1:]], env={**os.environ, **set_here, **self.environment})
        try:
            done.wait(deadline_s)
        except subprocess.TimeoutExpired:
            done.terminate()
            done.wait(60)
        # A container that a signal ends reports 128 and its number.
        return done.returncode if done.returncode >= 0 else 128 - done.returncode

    def _keep_outputs(self, task: str, template: dict[str, Any]) -> None:
        for entry in template.get("outputs", {}).get("parameters", []):
            value = Path(self._local(entry["valueFrom"]["path"])).read_text()
            self.known[f"tasks.{task}.outputs.parameters.{entry['name']}"] = value

    def _local(self, text: str) -> str:
        for mount, folder in self.mounts.items():
            if text == mount or text.startswith(f"{mount}/"):
                return str(folder) + text[len(mount) :]
        return text

    def _filled(self, text: str, inputs: dict[str, str]) -> str:
        values = self.known | inputs
        return _REFERENCE.sub(lambda match: values[match[1]], text)


def _again(expression: str, code: int, duration_s: float) -> bool:
    """Whether a container that ended with a code after some seconds is tried again; another form of expression is not understood."""
    found = _EXPRESSION.fullmatch(expression)
    assert found, expression
    return int(duration_s) < int(found[1]) and f'"{code}"' in found[2].split(", ")


def _holds(condition: str) -> bool:
    left, _, right = condition.partition(" == ")
    return left == right


def _ordered(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Parents before children."""
    done: list[dict[str, Any]] = []
    while len(done) < len(tasks):
        names = {task["name"] for task in done}
        ready = [task for task in tasks if task not in done and _parent(task) in (names | {""})]
        assert ready, "the tasks wait for each other"
        done += ready
    return done


def _parent(task: dict[str, Any]) -> str:
    return task.get("depends", "").partition(".")[0]
