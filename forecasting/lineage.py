"""What a step may read: finished parents, gates that said yes, and one lineage behind all of them."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from forecasting.cache import STEP_KINDS
from forecasting.contracts.artifacts import MANIFEST_FILE
from forecasting.contracts.layout import RunLayout
from forecasting.contracts.steps import StepName, parents_of
from forecasting.contracts.vocabulary import RunStatus
from forecasting.errors import ConfigError
from forecasting.manifests import Manifest, load_manifest, verify
from forecasting.runs import load_run, load_step


def verify_inputs(run: RunLayout, step: StepName, inputs: Mapping[StepName, Path]) -> dict[StepName, str]:
    """Check what a step is about to read.

    Args:
        run: The run of the step.
        step: The step.
        inputs: Directories of its parents.

    Returns:
        Payload digest of each parent.

    Raises:
        ConfigError: A parent was not given, has not succeeded in this run (a gate that said no has not), or
            two of them were made from different outputs of one step.
        ArtifactError: A directory is not what was written.
    """
    parents = parents_of(step, load_run(run).optional)
    if missing := set(parents) - set(inputs):
        raise ConfigError(f"{step} reads {', '.join(sorted(missing))}, which it was not given")
    _require_success(run, step, parents)
    manifests = {parent: verify(path, STEP_KINDS[parent]) for parent, path in inputs.items()}
    _require_one_lineage(run, manifests)
    return {parent: manifest.payload_digest for parent, manifest in manifests.items()}


def _require_success(run: RunLayout, step: StepName, parents: Iterable[StepName]) -> None:
    """Refuse a step of which a parent has not succeeded in this run."""
    for parent in parents:
        record = load_step(run, parent)
        if record is None:
            raise ConfigError(
                f"{step} reads what {parent} wrote, and run {run.name} has none; run {parent} of this run first"
            )
        if record.status == RunStatus.REFUSED:
            raise ConfigError(
                f"{step} may not run: {parent} refused in run {run.name}: {record.summary}; "
                f"{step} may run once {parent} has said yes"
            )
        if record.status != RunStatus.SUCCEEDED:
            raise ConfigError(
                f"{step} reads what {parent} wrote, and {parent} of run {run.name} is {record.status}; "
                f"run {parent} of this run first"
            )


def _require_one_lineage(run: RunLayout, inputs: Mapping[StepName, Manifest]) -> None:
    """Every step behind the inputs stands for one output, however it is reached.

    Manifests name their direct parents. Where the run itself holds such a parent, that one's manifest is
    followed too, up to the series.
    """
    known = {step: manifest.payload_digest for step, manifest in inputs.items()}
    waiting = list(inputs.items())
    while waiting:
        reader, manifest = waiting.pop()
        for name, digest in manifest.parents.items():
            parent = StepName(name)
            if parent not in known and (run.step(parent) / MANIFEST_FILE).is_file():
                found = load_manifest(run.step(parent))
                known[parent] = found.payload_digest
                waiting.append((parent, found))
            if known.setdefault(parent, digest) != digest:
                raise ConfigError(
                    f"the inputs must come from one {parent}, and {reader} was made from another output of "
                    f"{parent} than the run {run.name} holds now; run {reader} of this run again"
                )
