"""Kubeflow Pipelines as its own client models describe it: unknown fields, missing names and bad values are refused."""

import itertools
import json
import re
import uuid
from dataclasses import dataclass, field
from typing import Any

import kfp_server_api as models

from tests.unit.pipelines.cluster.fake_api import Asked, FakeApi, RefusedError

_KINDS = {
    "runs": ("runs", "run_id", "V2beta1Run"),
    "recurringruns": ("recurringRuns", "recurring_run_id", "V2beta1RecurringRun"),
    "experiments": ("experiments", "experiment_id", "V2beta1Experiment"),
}
_LISTED = re.compile(r"list\[(.*)\]")


def check(value: Any, kind: str, where: str) -> None:
    """Refuse what the model of this kind does not have."""
    if listed := _LISTED.fullmatch(kind):
        for one in value:
            check(one, listed[1], where)
        return
    model = getattr(models, kind, None)
    if model is None:
        plain = {"str": str, "bool": bool, "int": int}.get(kind)
        if plain is not None and type(value) is not plain:
            raise RefusedError(400, f"{where}: must be {kind}, found {value!r}")
        return
    if allowed := getattr(model, "allowable_values", None):
        if value not in allowed:
            raise RefusedError(400, f"{where}: {value!r} is none of {allowed}")
        return
    kinds = {model.attribute_map[name]: found for name, found in model.openapi_types.items()}
    for key, found in value.items():
        if key not in kinds:
            raise RefusedError(400, f"{where}: unknown field {key!r}")
        check(found, kinds[key], f"{where}.{key}")


@dataclass
class FakeKfp(FakeApi):
    """state: that runs are given, one after another, and the last for ever."""

    page_size: int = 2
    kept: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: {kind: {} for kind in _KINDS})
    states: list[str] = field(default_factory=lambda: ["SUCCEEDED"])
    tick: "itertools.count[int]" = field(default_factory=itertools.count)

    def answer(self, asked: Asked) -> dict[str, Any] | str:
        if found := re.fullmatch(r"/apis/v1alpha1/runs/([^/]+)/nodes/([^/]+)/log", asked.path):
            return f"log of {found[2]}\n"
        found = re.fullmatch(r"/apis/v2beta1/(\w+)(?:/([^/:]+))?(?::(\w+))?", asked.path)
        if not found or found[1] not in _KINDS:
            raise RefusedError(404, f"no path {asked.path}")
        kind, name, verb = found.groups()
        if name is None:
            return self._create(kind, asked.body) if asked.method == "POST" else self._list(kind, asked.query)
        if name not in self.kept[kind]:
            raise RefusedError(404, f"no {kind} {name}")
        if asked.method == "DELETE":
            del self.kept[kind][name]
            return {}
        one = self.kept[kind][name]
        if verb == "terminate":
            one["state"] = "CANCELED"
            return {}
        if kind == "runs" and one["state"] not in ("CANCELED", "SUCCEEDED", "FAILED"):
            one["state"] = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return one

    def _create(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        _, key, model = _KINDS[kind]
        check(body, model, kind)
        if not body.get("display_name"):
            raise RefusedError(400, "display_name is empty")
        if kind == "experiments" and any(
            one["display_name"] == body["display_name"] for one in self.kept[kind].values()
        ):
            raise RefusedError(409, "already exists")
        if kind != "experiments":
            if body.get("experiment_id") not in self.kept["experiments"]:
                raise RefusedError(400, "no such experiment")
            if set(body["pipeline_spec"]) != {"pipeline_spec", "platform_spec"}:
                raise RefusedError(400, "pipeline_spec must be a pipeline and its platform")
        if kind == "recurringruns" and len(body["trigger"]["cron_schedule"]["cron"].split()) != 6:
            raise RefusedError(400, "cron must have six fields")
        name = str(uuid.uuid4())
        made = {**body, key: name, "created_at": f"2026-01-01T00:00:{next(self.tick):02d}Z"}
        if kind == "runs":
            made["state"] = "PENDING"
        if kind == "recurringruns":
            made["status"] = "ENABLED" if body["mode"] == "ENABLE" else "DISABLED"
        self.kept[kind][name] = made
        return made

    def _list(self, kind: str, query: dict[str, str]) -> dict[str, Any]:
        key, _, _ = _KINDS[kind]
        found = list(self.kept[kind].values())
        if "filter" in query:
            document = json.loads(query["filter"])
            check(document, "V2beta1Filter", "filter")
            (predicate,) = document["predicates"]
            found = [one for one in found if one[predicate["key"]] == predicate["string_value"]]
        if kind != "experiments":
            found = [one for one in found if one["experiment_id"] == query.get("experiment_id")]
        if query.get("sort_by") == "created_at desc":
            found.reverse()
        first = int(query.get("page_token", "0"))
        size = min(self.page_size, int(query.get("page_size", "20")))
        page = found[first : first + size]
        more = {"next_page_token": str(first + size)} if first + size < len(found) else {}
        # Its JSON leaves empty lists out.
        return {**({key: page} if page else {}), "total_size": len(found), **more}
