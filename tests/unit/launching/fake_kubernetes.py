"""The part of Kubernetes that a launched step needs, with the operators behind it: jobs make pods, a story moves them.

Bodies are held to the schemas of the resources where those are here. Each watch of a job tells the next event of the story.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from components.launching.job_spec import TF_JOB, TRAIN_JOB, JobKind
from tests.unit.launching.tfjob_schema import tfjob_schema
from tests.unit.pipelines.cluster.fake_api import Asked, CutOffError, FakeApi, RefusedError

SCHEMAS = Path(__file__).resolve().parents[4] / "shared" / "schemas"
_KINDS = {"tfjobs": "TFJob", "trainjobs": "TrainJob", "trainingruntimes": "TrainingRuntime"}
_JOBS = {"tfjobs": TF_JOB, "trainjobs": TRAIN_JOB}
_PATH = re.compile(
    r"(/api/v1|/apis/kubeflow\.org/v1|/apis/trainer\.kubeflow\.org/v1alpha1)/namespaces/([^/]+)/(\w+)(?:/([^/]+))?(/log)?"
)
POD = "almanac-toy-x-launch-training"
WORKFLOW = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "almanac-toy-x", "uid": "w-1"}
_STALE_WATCHES = 40


@cache
def schema_of(kind: str) -> jsonschema.Draft202012Validator | None:
    """None where the schemas are not here."""
    path = SCHEMAS / f"{kind.lower()}-trainer.kubeflow.org-v1alpha1.json"
    if kind == "TFJob":
        runtime = SCHEMAS / "trainingruntime-trainer.kubeflow.org-v1alpha1.json"
        if not runtime.is_file():
            return jsonschema.Draft202012Validator(tfjob_schema({"type": "object"}))
        jobs = json.loads(runtime.read_text())["properties"]["spec"]["properties"]["template"]["properties"]["spec"]
        job = jobs["properties"]["replicatedJobs"]["items"]["properties"]["template"]["properties"]["spec"]
        return jsonschema.Draft202012Validator(tfjob_schema(job["properties"]["template"]))
    return jsonschema.Draft202012Validator(json.loads(path.read_text())) if path.is_file() else None


def faults_of(document: dict[str, Any]) -> list[str]:
    """What the schema of a resource says against it."""
    schema = schema_of(document["kind"])
    return [] if schema is None else [f"{error.json_path}: {error.message}" for error in schema.iter_errors(document)]


Event = Callable[["FakeKubernetes"], None]


@dataclass
class FakeKubernetes(FakeApi):
    """One namespace. story: what happens, one event a watch. log: times and lines of the chief; cuts: after how many lines a stream of it breaks.

    lingers: how often a job that is removed is still seen. used: resources and verbs that were asked for.
    """

    story: list[Event] = field(default_factory=list)
    log: list[tuple[str, str]] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    lingers: int = 0
    kept: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: {plural: {} for plural in _KINDS})
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    used: set[tuple[str, str]] = field(default_factory=set)
    made: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    when_made: Event | None = None
    n_stale: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def answer(self, asked: Asked) -> dict[str, Any] | str | Iterator[str]:
        found = _PATH.fullmatch(asked.path)
        if not found or found[2] != "almanac":
            raise RefusedError(404, "the server could not find the requested resource")
        _, _, plural, name, log = found.groups()
        with self.lock:
            if plural == "pods":
                return self._pods(asked, name, log=bool(log))
            if plural not in _KINDS:
                raise RefusedError(404, "the server could not find the requested resource")
            return self._resources(asked, plural, name)

    def job(self) -> dict[str, Any]:
        """The one job there is."""
        (found,) = [one for plural in _JOBS for one in self.kept[plural].values()]
        return found

    def kind(self) -> JobKind:
        """Its kind."""
        return next(kind for plural, kind in _JOBS.items() if self.kept[plural])

    def workers(self) -> list[dict[str, Any]]:
        """Its pods, by number."""
        return [pod for pod in self.pods.values() if pod["metadata"]["labels"].get(self.kind().selector)]

    def condition(self, kind: str, reason: str, message: str = "") -> None:
        """Let a condition of the job hold."""
        job = self.job()
        new = {"type": kind, "status": "True", "reason": reason, "message": message}
        job["status"] = {"conditions": [*job.get("status", {}).get("conditions", []), new]}
        job["metadata"]["resourceVersion"] = str(int(job["metadata"]["resourceVersion"]) + 1)

    def _resources(self, asked: Asked, plural: str, name: str | None) -> dict[str, Any] | Iterator[str]:
        if name is None:
            if asked.method == "POST":
                self.used.add((plural, "create"))
                return self._create(plural, asked.body)
            self.used.add((plural, "watch"))
            return self._watch(asked)
        if asked.method == "DELETE":
            self.used.add((plural, "delete"))
            return self._delete(plural, name, asked.body or {})
        self.used.add((plural, "get"))
        if name not in self.kept[plural]:
            raise RefusedError(404, f'{plural} "{name}" not found')
        one = self.kept[plural][name]
        if "deletionTimestamp" in one["metadata"]:
            self.lingers -= 1
            if self.lingers < 0:
                self._go(plural, name)
                raise RefusedError(404, f'{plural} "{name}" not found')
        return json.loads(json.dumps(one))

    def _create(self, plural: str, body: dict[str, Any]) -> dict[str, Any]:
        if body.get("kind") != _KINDS[plural]:
            raise RefusedError(400, f"must be a {_KINDS[plural]}")
        if faults := faults_of(body):
            raise RefusedError(422, f"{body['kind']} is not valid: {faults[0]}")
        name = body["metadata"]["name"]
        if name in self.kept[plural]:
            raise RefusedError(409, f'{plural} "{name}" already exists')
        if plural == "trainjobs" and body["spec"]["runtimeRef"]["name"] not in self.kept["trainingruntimes"]:
            raise RefusedError(422, "the training runtime must be there before the job")
        self.made.append(name)
        metadata = {**body["metadata"], "uid": f"u-{len(self.made)}", "resourceVersion": "1"}
        self.kept[plural][name] = {**body, "metadata": metadata}
        if plural in _JOBS:
            self._make_pods(name, body, _JOBS[plural])
            if self.when_made is not None:
                self.when_made(self)
        return self.kept[plural][name]

    def _make_pods(self, name: str, body: dict[str, Any], kind: JobKind) -> None:
        spec = body["spec"]
        n = spec["trainer"]["numNodes"] if kind is TRAIN_JOB else spec["tfReplicaSpecs"]["Worker"]["replicas"]
        for number in range(n):
            pod = f"{name}-{kind.container}-{number}-{len(self.made)}"
            labels = {kind.selector: name, kind.index: str(number)}
            self.pods[pod] = {
                "metadata": {"name": pod, "uid": f"p-{pod}", "labels": labels},
                "status": {"phase": "Pending"},
            }

    def _delete(self, plural: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        if name not in self.kept[plural]:
            raise RefusedError(404, f'{plural} "{name}" not found')
        one = self.kept[plural][name]
        uid = body.get("preconditions", {}).get("uid")
        if uid is not None and uid != one["metadata"]["uid"]:
            raise RefusedError(409, "the UID in the precondition does not match")
        if self.lingers > 0:
            one["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            return one
        self._go(plural, name)
        return one

    def _go(self, plural: str, name: str) -> None:
        self.deleted.append(name)
        del self.kept[plural][name]
        if plural in _JOBS:
            self.pods = {
                key: pod
                for key, pod in self.pods.items()
                if pod["metadata"]["labels"].get(_JOBS[plural].selector) != name
            }

    def _watch(self, asked: Asked) -> Iterator[str]:
        if not asked.query.get("fieldSelector", "").startswith("metadata.name="):
            raise RefusedError(400, "the watch of a step is of its own job")
        if not self.story:
            self.n_stale += 1
            if self.n_stale > _STALE_WATCHES:
                self.condition("Failed", "StoryEnded", "nothing happens any more")
            return iter(())
        event = self.story.pop(0)
        cut = event(self)
        if isinstance(cut, str):
            return _broken(cut)
        found = [one for plural in _JOBS for one in self.kept[plural].values()]
        return iter([json.dumps({"type": "MODIFIED", "object": one}) for one in found])

    def _pods(self, asked: Asked, name: str | None, *, log: bool) -> dict[str, Any] | Iterator[str]:
        if log:
            self.used.add(("pods/log", "get"))
            return self._log(asked)
        if name is None:
            self.used.add(("pods", "list"))
            key, _, value = asked.query["labelSelector"].partition("=")
            found = [pod for pod in self.pods.values() if pod["metadata"]["labels"].get(key) == value]
            return {"items": json.loads(json.dumps(found))}
        self.used.add(("pods", "get"))
        if name != POD:
            raise RefusedError(404, f'pods "{name}" not found')
        owners = [{**WORKFLOW, "controller": True, "blockOwnerDeletion": True}]
        return {"metadata": {"name": POD, "uid": "p-0", "labels": {}, "ownerReferences": owners}}

    def _log(self, asked: Asked) -> Iterator[str]:
        since = asked.query.get("sinceTime", "")
        left = [f"{time} {text}" for time, text in self.log if time >= since]
        return _cut_after(left, self.cuts.pop(0)) if self.cuts else iter(left)


def _cut_after(lines: list[str], n: int) -> Iterator[str]:
    yield from lines[:n]
    raise CutOffError(lines[n][:5] if n < len(lines) else "")


def _broken(how: str) -> Iterator[str]:
    """A watch that is lost: its version has expired, by an event, or it breaks in the middle of a line."""
    if how == "expired":
        raise RefusedError(410, "too old resource version")
    if how == "error event":
        return iter([json.dumps({"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}})])
    return _cut_after([json.dumps({"type": "MODIFIED"})], 0)


def runs(number: int | None = None) -> Event:
    """A worker runs, or all of them."""

    def event(fake: FakeKubernetes) -> None:
        for at, pod in enumerate(fake.workers()):
            if number in (None, at):
                pod["status"] = {"phase": "Running"}

    return event


def waits(number: int, **state: str) -> Event:
    """The container of a worker waits."""

    def event(fake: FakeKubernetes) -> None:
        status = {"name": fake.kind().container, "state": {"waiting": state}}
        fake.workers()[number]["status"] = {"phase": "Pending", "containerStatuses": [status]}

    return event


def unschedulable(number: int, message: str) -> Event:
    """No node takes a worker."""

    def event(fake: FakeKubernetes) -> None:
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        fake.workers()[number]["status"] = {"phase": "Pending", "conditions": [condition]}

    return event


def ends(number: int, code: int, message: str = "") -> Event:
    """The container of a worker ends."""

    def event(fake: FakeKubernetes) -> None:
        ended = {"name": fake.kind().container, "state": {"terminated": {"exitCode": code, "message": message}}}
        phase = "Failed" if code else "Succeeded"
        fake.workers()[number]["status"] = {"phase": phase, "containerStatuses": [ended]}

    return event


def evicted(number: int) -> Event:
    """The node of a worker puts it out."""

    def event(fake: FakeKubernetes) -> None:
        fake.workers()[number]["status"] = {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}

    return event


def preempted(number: int) -> Event:
    """A scheduler takes the place of a worker for somebody else; its pod is about to be gone."""

    def event(fake: FakeKubernetes) -> None:
        target = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": "more important pod",
        }
        fake.workers()[number]["status"] = {"phase": "Running", "conditions": [target]}

    return event


def pod_gone(number: int) -> Event:
    """The pod of a worker is removed, and nothing tells of it any more."""

    def event(fake: FakeKubernetes) -> None:
        del fake.pods[fake.workers()[number]["metadata"]["name"]]

    return event


def fails(message: str = "jobset failed due to one or more job failures") -> Event:
    """The job says that it failed."""
    return lambda fake: fake.condition("Failed", "FailedJobs", message)


def lost(how: str) -> Event:
    """The watch breaks."""
    return lambda _fake: how  # type: ignore[return-value]


def together(*events: Event) -> Event:
    """Several at once."""

    def event(fake: FakeKubernetes) -> None:
        for one in events:
            one(fake)

    return event
