"""Overlays and components as kustomize renders them, and what the tests ask of the result."""

import functools
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
KUSTOMIZE = ROOT / "infra/kustomize"
OVERLAYS = tuple(sorted(path.name for path in (KUSTOMIZE / "overlays").iterdir()))
COMPONENTS = tuple(sorted(path.name for path in (KUSTOMIZE / "components").iterdir()))
STANDS_ON = {"signed": ("object-store",)}
"""Components that another one must have prepared."""
TOGETHER = "kserve+object-store+signed"
RENDERED = (*OVERLAYS, *COMPONENTS, TOGETHER)
"""Every overlay, every component on the base and a PostgreSQL, and some components together."""
Document = Mapping[str, Any]


@dataclass(frozen=True)
class PodTemplate:
    """Pods that a resource makes."""

    owner: str
    kind: str
    labels: Mapping[str, str]
    spec: Mapping[str, Any]

    @property
    def containers(self) -> list[Mapping[str, Any]]:
        """All of them, those that run first too."""
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]


@functools.cache
def kustomize_command() -> tuple[str, ...]:
    """Words that render a folder; the test fails where there is no kustomize 5."""
    found = []
    if shutil.which("kustomize") is not None:
        found.append((("kustomize", "build"), _said("kustomize", "version")))
    if shutil.which("kubectl") is not None:
        versions = json.loads(_said("kubectl", "version", "--client", "-o", "json"))
        found.append((("kubectl", "kustomize"), versions.get("kustomizeVersion", "")))
    for command, version in found:
        number = re.search(r"v(\d+)\.", version)
        if number is not None and int(number[1]) >= 5:
            return command
    pytest.fail(
        f"kustomize 5 or later must be on PATH, by itself or in kubectl; found {found or 'neither'}; run infra/install-services",
        pytrace=False,
    )


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@functools.cache
def rendered(name: str) -> tuple[Document, ...]:
    """Resources of an overlay, or of a component, or of several joined by `+`, on the base."""
    return tuple(yaml.safe_load_all(rendered_text(name)))


@functools.cache
def rendered_text(name: str) -> str:
    """The same as text."""
    if name in OVERLAYS:
        return _build(KUSTOMIZE / "overlays" / name)
    components = dict.fromkeys(["postgres", *STANDS_ON.get(name, ()), *name.split("+")])
    with tempfile.TemporaryDirectory() as folder:
        return rendered_overlay(Path(folder).resolve(), components=list(components))


def rendered_overlay(folder: Path, *, components: Sequence[str], **more: Any) -> str:
    """An overlay of the base in a folder of its own, with more keys of its kustomization."""
    document = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "almanac",
        "resources": [os.path.relpath(KUSTOMIZE / "base", folder)],
        "components": [os.path.relpath(KUSTOMIZE / "components" / one, folder) for one in components],
        **more,
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return _build(folder)


def _build(folder: Path) -> str:
    done = subprocess.run([*kustomize_command(), str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def of_kind(documents: tuple[Document, ...], *kinds: str) -> list[Document]:
    """Resources of these kinds."""
    return [one for one in documents if one["kind"] in kinds]


def named(documents: tuple[Document, ...], kind: str, name: str) -> Document:
    """One resource, by the name it was given or the one with a digest behind it."""
    (found,) = [
        one
        for one in of_kind(documents, kind)
        if re.fullmatch(re.escape(name) + r"(-[0-9a-z]{10})?", one["metadata"]["name"])
    ]
    return found


def pod_templates(documents: tuple[Document, ...]) -> Iterator[PodTemplate]:
    """The pods of every workload."""
    for one in documents:
        name, kind = one["metadata"]["name"], one["kind"]
        spec = one.get("spec", {})
        if kind == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if kind == "InferenceService":
            predictor = spec["predictor"]
            yield PodTemplate(name, kind, predictor["labels"], predictor)
        elif kind == "FlinkDeployment":
            for role in ("jobManager", "taskManager"):
                yield _flink_pods(name, role, spec)
        elif "template" in spec and "spec" in spec["template"]:
            template = spec["template"]
            yield PodTemplate(name, kind, template["metadata"]["labels"], template["spec"])


def _flink_pods(name: str, role: str, spec: Mapping[str, Any]) -> PodTemplate:
    """Pods as the operator of Flink makes them: account, image and amounts of the first container come from the resource."""
    template, asked = spec[role]["podTemplate"], spec[role]["resource"]
    main, *others = template["spec"]["containers"]
    amounts = {
        "cpu": asked["cpu"],
        "memory": asked["memory"],
        "ephemeral-storage": asked["ephemeralStorage"],
    }
    main = {**main, "image": spec["image"], "resources": {"requests": amounts, "limits": amounts}}
    own = {**template["spec"], "containers": [main, *others], "serviceAccountName": spec["serviceAccount"]}
    return PodTemplate(f"{name}-{role.lower()}", "FlinkDeployment", template["metadata"]["labels"], own)


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector takes these labels."""
    equal = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    expressions = selector.get("matchExpressions", ())
    assert all(one["operator"] == "In" for one in expressions), "only In is understood here"
    return equal and all(labels.get(one["key"]) in one["values"] for one in expressions)
