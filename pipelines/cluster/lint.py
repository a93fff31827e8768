"""What a compiled pipeline must not have, because a backend would skip it in silence or run what nobody knows."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


class FaultKind(StrEnum):
    """What is wrong with a pipeline."""

    LONE_CONDITION = "lone_condition"
    UNGUARDED_GATE = "unguarded_gate"
    UNPINNED_IMAGE = "unpinned_image"


@dataclass(frozen=True)
class FaultRecord:
    """One fault. text: what must hold, what was found, what to do."""

    kind: FaultKind
    text: str


def lint_pipeline(document: Mapping[str, Any], gates: tuple[str, ...]) -> list[FaultRecord]:
    """Faults of a pipeline in the intermediate representation of Kubeflow Pipelines.

    Args:
        document: The pipeline spec.
        gates: Names of the tasks that answer yes or no.

    Returns:
        The faults: an If whose other case is nowhere, a gate that no If and Else follow, an image without digest.
    """
    conditions = [text for task in _tasks(document) if (text := task.get("triggerPolicy", {}).get("condition"))]
    alone = [
        text
        for text in conditions
        if not {f"!({text})", text.removeprefix("!(").removesuffix(")")} & {*conditions} - {text}
    ]
    faults = [
        FaultRecord(FaultKind.LONE_CONDITION, f"the condition {text} stands alone; give it an Else") for text in alone
    ]
    for gate in gates:
        value = f"pipelinechannel--{gate}-Output"
        if _has_task(document, gate) and sum(value in text for text in conditions) < 2:
            text = f"the gate {gate} is not followed by an If and an Else"
            faults.append(FaultRecord(FaultKind.UNGUARDED_GATE, text))
    return faults + [_unpinned(name, image) for name, image in _images(document) if not _DIGEST.search(image)]


def lint_images(images: Mapping[str, str]) -> list[FaultRecord]:
    """Images without digest. images: by what they are for."""
    return [_unpinned(name, image) for name, image in images.items() if not _DIGEST.search(image)]


def _unpinned(name: str, image: str) -> FaultRecord:
    text = f"{name} runs in {image}, which may be another image tomorrow; name it by digest (…@sha256:…)"
    return FaultRecord(FaultKind.UNPINNED_IMAGE, text)


def _tasks(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for part in (document["root"], *document.get("components", {}).values()):
        yield from part.get("dag", {}).get("tasks", {}).values()


def _has_task(document: Mapping[str, Any], name: str) -> bool:
    parts = (document["root"], *document.get("components", {}).values())
    return any(name in part.get("dag", {}).get("tasks", {}) for part in parts)


def _images(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, executor in document.get("deploymentSpec", {}).get("executors", {}).items():
        if "container" in executor:
            yield name.removeprefix("exec-"), executor["container"]["image"]
