"""The part of Kubernetes that Argo Workflows needs: objects by name, pages, patches; bodies are held to Argo's schemas."""

import json
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from tests.unit.pipelines.cluster.fake_api import Asked, FakeApi, RefusedError

SCHEMAS = Path(__file__).resolve().parents[5] / "shared" / "schemas"
_KINDS = {
    "workflows": "Workflow", "workflowtemplates": "WorkflowTemplate", "cronworkflows": "CronWorkflow",
    "configmaps": "ConfigMap", "pods": "Pod",
}  # fmt: skip
_PATH = re.compile(r"/(?:api/v1|apis/argoproj\.io/v1alpha1)/namespaces/([^/]+)/(\w+)(?:/([^/]+))?(/log)?")


@cache
def schema_of(path: Path) -> jsonschema.Draft202012Validator:
    """It is large, and known to be a schema: looking it over takes seconds."""
    return jsonschema.Draft202012Validator(json.loads(path.read_text()))


def check(body: dict[str, Any], kind: str) -> None:
    """Refuse what the schema of the resource does not have, where the schemas are here."""
    path = SCHEMAS / f"{kind.lower()}-argoproj.io-v1alpha1.json"
    if not path.is_file():
        return
    error = next(schema_of(path).iter_errors(body), None)
    if error is not None:
        raise RefusedError(422, f"{kind} is not valid: {error.message}")


@dataclass
class FakeArgo(FakeApi):
    """phases: that a workflow is in when it is looked at, one after another, and the last for ever."""

    page_size: int = 2
    expire_once: bool = False
    phases: list[str] = field(default_factory=lambda: ["Succeeded"])
    kept: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: {kind: {} for kind in _KINDS})
    n_made: int = 0

    def answer(self, asked: Asked) -> dict[str, Any] | str:
        found = _PATH.fullmatch(asked.path)
        if not found or found[2] not in _KINDS:
            raise RefusedError(404, "the server could not find the requested resource")
        _, plural, name, log = found.groups()
        if log:
            return f"log of {name}\n"
        if name is None:
            return self._create(plural, asked.body) if asked.method == "POST" else self._list(plural, asked.query)
        if asked.method == "PATCH":
            return self._patch(plural, name, asked)
        if name not in self.kept[plural]:
            raise RefusedError(404, f'{plural} "{name}" not found')
        if asked.method == "DELETE":
            return self.kept[plural].pop(name)
        return self._seen(plural, name)

    def _seen(self, plural: str, name: str) -> dict[str, Any]:
        one = self.kept[plural][name]
        if plural == "workflows" and one.get("status", {}).get("phase") not in ("Succeeded", "Failed", "Error"):
            one["status"] = {"phase": self.phases.pop(0) if len(self.phases) > 1 else self.phases[0]}
        return one

    def _create(self, plural: str, body: dict[str, Any]) -> dict[str, Any]:
        if body.get("kind") != _KINDS[plural]:
            raise RefusedError(400, f"must be a {_KINDS[plural]}")
        check(body, _KINDS[plural])
        name = body["metadata"]["name"]
        if name in self.kept[plural]:
            raise RefusedError(409, f'{plural} "{name}" already exists')
        self.n_made += 1
        metadata = {**body["metadata"], "creationTimestamp": f"2026-01-01T00:00:{self.n_made:02d}Z"}
        self.kept[plural][name] = {**body, "metadata": metadata}
        return self.kept[plural][name]

    def _patch(self, plural: str, name: str, asked: Asked) -> dict[str, Any]:
        if asked.content_type == "application/apply-patch+yaml":
            if not asked.query.get("fieldManager"):
                raise RefusedError(400, "fieldManager is required for apply patch")
            check(asked.body, _KINDS[plural])
            self.kept[plural][name] = asked.body
            return asked.body
        if asked.content_type != "application/merge-patch+json":
            raise RefusedError(415, f"no patch of {asked.content_type}")
        if name not in self.kept[plural]:
            raise RefusedError(404, f'{plural} "{name}" not found')
        one = self.kept[plural][name]
        one["spec"] |= asked.body["spec"]
        if one["spec"].get("shutdown"):
            one["status"] = {"phase": "Failed", "message": "Stopped with strategy 'Stop'"}
        return one

    def _list(self, plural: str, query: dict[str, str]) -> dict[str, Any]:
        wanted = dict(pair.split("=") for pair in query["labelSelector"].split(","))
        found = [
            one for one in self.kept[plural].values() if wanted.items() <= one["metadata"].get("labels", {}).items()
        ]
        first = int(query.get("continue", "0"))
        if first and self.expire_once:
            self.expire_once = False
            raise RefusedError(410, "The provided continue parameter is too old")
        size = min(self.page_size, int(query.get("limit", "500")))
        more = {"continue": str(first + size)} if first + size < len(found) else {}
        return {"items": found[first : first + size], "metadata": more}
