"""A fake Kubernetes whose pods are processes of this machine: what a job asks for is started, signalled and judged as a node would."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.launching.job_spec import TRAIN_JOB
from components.launching.tf_config import ADDRESSES_VARIABLE, INDEX_VARIABLE
from tests.unit.launching.fake_kubernetes import FakeKubernetes
from tests.unit.pipelines.cluster.fake_api import Asked

ROOT = Path(__file__).parents[2]


@dataclass
class LocalPods(FakeKubernetes):
    """Pods of TrainJobs. logs: folder for what they print. disturb: asked at each look, and may end one of them."""

    logs: Path = Path()
    disturb: Callable[["LocalPods"], None] = lambda _pods: None
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    environments: list[dict[str, str]] = field(default_factory=list)
    evicted: set[int] = field(default_factory=set)

    def kill(self, number: int) -> None:
        """A node puts a worker out without asking."""
        self.evicted.add(number)
        self.processes[number].send_signal(signal.SIGKILL)

    def close(self) -> None:
        """End what still runs."""
        for process in self.processes:
            process.kill()
            process.wait()

    def _make_pods(self, name: str, body: dict[str, Any], kind: Any) -> None:
        super()._make_pods(name, body, kind)
        self.close()
        self.evicted.clear()
        runtime = self.kept["trainingruntimes"][body["spec"]["runtimeRef"]["name"]]["spec"]
        job = runtime["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]
        (container,) = job["template"]["spec"]["containers"]
        given = {entry["name"]: entry["value"] for entry in container["env"]}
        given[ADDRESSES_VARIABLE] = ",".join(_free_addresses(given[ADDRESSES_VARIABLE].count(",") + 1))
        self.environments = [
            {**given, INDEX_VARIABLE: str(number)} for number in range(body["spec"]["trainer"]["numNodes"])
        ]
        self.processes = [self._start(container, one) for one in self.environments]

    def _start(self, container: dict[str, Any], given: dict[str, str]) -> subprocess.Popen[str]:
        # `python` is that of the image, which is this one here.
        command = [sys.executable, *container["command"][1:], *container["args"]]
        log = (self.logs / f"worker-{given[INDEX_VARIABLE]}.log").open("a")
        return subprocess.Popen(command, cwd=ROOT, env={**os.environ, **given}, stdout=log, stderr=log, text=True)

    def _watch(self, asked: Asked) -> Iterator[str]:
        time.sleep(0.05)
        self.disturb(self)
        for number, (pod, process) in enumerate(zip(self.workers(), self.processes, strict=True)):
            pod["status"] = self._status(number, process.poll())
        codes = [process.poll() for process in self.processes]
        if all(code == 0 for code in codes):
            self.story.append(lambda one: one.condition(TRAIN_JOB.ended, "AllJobsCompleted"))
        elif None not in codes:
            self.story.append(lambda one: one.condition("Failed", "FailedJobs", "jobset failed"))
        else:
            self.story.append(lambda _one: None)
        return super()._watch(asked)

    def _status(self, number: int, code: int | None) -> dict[str, Any]:
        if number in self.evicted and code is not None:
            return {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
        if code is None:
            return {"phase": "Running"}
        # A signal is shown as a container's runtime does.
        ended = {"exitCode": code if code >= 0 else 128 - code, "message": ""}
        return {
            "phase": "Failed" if code else "Succeeded",
            "containerStatuses": [{"name": TRAIN_JOB.container, "state": {"terminated": ended}}],
        }


def _free_addresses(n: int) -> list[str]:
    sockets = [socket.socket() for _ in range(n)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    finally:
        for one in sockets:
            one.close()
