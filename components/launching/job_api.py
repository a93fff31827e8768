"""The part of Kubernetes that a launched step asks: its job, the pods of the job, what their containers print."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from components.launching.job_spec import KEY_ANNOTATION, RUN_ANNOTATION, RUNTIME_PLURAL, JobKind
from components.launching.worker_record import WorkerRecord, worker_record
from forecasting.cluster_api.session import CONFLICT, NOT_FOUND, ApiAnswerRecord, ApiRequestSpec, ApiSession
from forecasting.errors import RemoteError, RetryableError

logger = logging.getLogger(__name__)

GONE = 410
_SILENCE_S = 30.0
"""A followed log, or a watch beyond its time, that says nothing for so long is asked for anew."""
_PLURALS = {"TFJob": "tfjobs", "TrainJob": "trainjobs", "TrainingRuntime": RUNTIME_PLURAL}


class JobApi:
    """Jobs of one kind in one namespace. Every method may raise RetryableError and RemoteError."""

    def __init__(self, session: ApiSession, namespace: str, kind: JobKind) -> None:
        """Asks nothing yet."""
        self._session, self._namespace, self.kind = session, namespace, kind

    def create(self, document: Mapping[str, Any]) -> bool:
        """Make a resource; whether there was none of its name."""
        path = self._path(self.kind.group, _PLURALS[document["kind"]])
        return self._send("POST", path, body=document, accept=(CONFLICT,)).status != CONFLICT

    def job(self, name: str) -> dict[str, Any] | None:
        """A job, or none."""
        answer = self._send("GET", self._path(self.kind.group, self.kind.plural, name), accept=(NOT_FOUND,))
        return None if answer.status == NOT_FOUND else answer.document

    def delete(self, name: str, *, plural: str | None = None, uid: str | None = None) -> None:
        """Have a resource removed, and its pods before it; one that is gone, or has been made anew meanwhile, is left alone.

        Args:
            name: Its name.
            plural: Its kind; none: a job.
            uid: Of the one that is meant; none: whichever has the name.
        """
        body: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground"}
        body |= {"preconditions": {"uid": uid}} if uid else {}
        path = self._path(self.kind.group, plural or self.kind.plural, name)
        self._send("DELETE", path, body=body, accept=(NOT_FOUND, CONFLICT))

    def await_gone(self, name: str, *, plural: str | None = None, tries: int, sleep: Callable[[float], object]) -> None:
        """Wait until nothing has a name any more, looking once a second.

        Raises:
            RetryableError: It is still there.
        """
        path = self._path(self.kind.group, plural or self.kind.plural, name)
        for _ in range(tries):
            if self._send("GET", path, accept=(NOT_FOUND,)).status == NOT_FOUND:
                return
            sleep(1.0)
        raise RetryableError(f"{path} must be gone before it is made again, and still is there; try again later")

    def changes(self, name: str, version: str, *, seconds: int) -> Iterator[str]:
        """What happens to a job from a version of it on: `ADDED`, `MODIFIED`, `DELETED`; `LOST` where it has to be read again.

        Ends by itself after some seconds.
        """
        query = {
            "watch": "true", "fieldSelector": f"metadata.name={name}", "resourceVersion": version,
            "timeoutSeconds": str(seconds), "allowWatchBookmarks": "true",
        }  # fmt: skip
        request = ApiRequestSpec("GET", self._path(self.kind.group, self.kind.plural), query=query, accept=(GONE,))
        try:
            for line in self._session.lines(request, silence_s=seconds + _SILENCE_S):
                kind = _event_type(line)
                if kind == "ERROR":
                    break
                if kind != "BOOKMARK":
                    yield kind
        except RetryableError as error:
            logger.info("%s; the job is read again", error)
            yield "LOST"

    def workers(self, name: str) -> list[WorkerRecord]:
        """The pods of a job, by number."""
        query = {"labelSelector": f"{self.kind.selector}={name}"}
        found = self._send("GET", self._path("/api/v1", "pods"), query=query).document.get("items", [])
        return sorted((worker_record(pod, self.kind) for pod in found), key=lambda one: (one.number, one.pod))

    def log(self, pod: str, since: str) -> Iterator[str]:
        """Lines of the container that trains, each with its time before it, until it ends or says nothing for a while.

        Args:
            pod: Name of the pod; nothing comes where it is gone or has not begun.
            since: RFC 3339 time of the first line; empty: all of them.
        """
        query = {"container": self.kind.container, "follow": "true", "timestamps": "true"}
        query |= {"sinceTime": since} if since else {}
        path = f"{self._path('/api/v1', 'pods', pod)}/log"
        yield from self._session.lines(
            ApiRequestSpec("GET", path, query=query, accept=(400, NOT_FOUND)), silence_s=_SILENCE_S
        )

    def owner_of(self, pod: str) -> dict[str, Any]:
        """Reference to what owns a pod, such as its workflow; to the pod itself where nothing does."""
        document = self._send("GET", self._path("/api/v1", "pods", pod)).document
        metadata = document["metadata"]
        own = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
        owners = metadata.get("ownerReferences", [])
        found = next((one for one in owners if one.get("controller")), own)
        return {key: found[key] for key in ("apiVersion", "kind", "name", "uid")}

    def _path(self, group: str, plural: str, name: str = "") -> str:
        return f"{group}/namespaces/{self._namespace}/{plural}" + (f"/{name}" if name else "")

    def _send(self, method: str, path: str, **settings: Any) -> ApiAnswerRecord:
        return self._session.send(ApiRequestSpec(method, path, **settings))


def check_owned(job: Mapping[str, Any], run: str) -> None:
    """Refuse a job of this name that is of another run.

    Raises:
        RemoteError: It is.
    """
    found = _annotations(job).get(RUN_ANNOTATION)
    if found != run:
        name = job["metadata"]["name"]
        raise RemoteError(f"{job.get('kind', 'job')} {name} must be of run {run!r}, found {found!r}; remove it, or give the run another name")  # fmt: skip


def adoptable(job: Mapping[str, Any], key: str) -> bool:
    """Whether an earlier attempt's job does what this one would: the same step, not failed, not on its way out."""
    same = _annotations(job).get(KEY_ANNOTATION) == key
    return same and "deletionTimestamp" not in job["metadata"] and not failure_of(job)


def succeeded(job: Mapping[str, Any], kind: JobKind) -> bool:
    """Whether all workers ended well."""
    return kind.ended in _conditions(job)


def failure_of(job: Mapping[str, Any]) -> str:
    """What a failed job says, or empty."""
    return _conditions(job).get("Failed", "")


def _conditions(job: Mapping[str, Any]) -> dict[str, str]:
    """Reason and message of conditions that hold."""
    found = job.get("status", {}).get("conditions", [])
    return {
        one["type"]: f"{one.get('reason', '')} {one.get('message', '')}".strip() or one["type"]
        for one in found
        if one.get("status") == "True"
    }


def _annotations(job: Mapping[str, Any]) -> Mapping[str, str]:
    found: Mapping[str, str] = job["metadata"].get("annotations", {})
    return found


def _event_type(line: str) -> str:
    """Kind of a line of a watch; what is none, such as half a line of a stream that broke, counts as ERROR."""
    try:
        return str(json.loads(line)["type"])
    except (ValueError, KeyError, TypeError):
        return "ERROR"
