"""What deploy_model ships, read from the outputs of the steps before it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.deployment.golden import GOLDEN_FILE
from forecasting.contracts.artifacts import DECISION_FILE, EXPORTED_SPEC_FILE, METRICS_FILE, VERSION_DIR
from forecasting.contracts.steps import StepName
from forecasting.errors import ArtifactError
from forecasting.features.spec import FeatureSpec, read_feature_spec
from forecasting.gates import read_decision
from forecasting.manifests import digest_file, digest_text, payload_files
from forecasting.schema import SeriesStore
from forecasting.series_store import read_series_store


@dataclass(frozen=True)
class PackageSpec:
    """A version directory and what belongs to it.

    source: the version directory. store_dir: of the series store. digest: of the version's files.
    golden: file of the golden request, max_difference_ratio: how far its answer may be off. metrics,
    curves (metrics by epoch), files: for MLflow. approval: why a person must approve it, empty where nobody need.
    """

    name: str
    run: str
    source: Path
    spec: FeatureSpec
    store: SeriesStore
    store_dir: Path
    variant: str
    digest: str
    max_difference_ratio: float
    golden: Path
    metrics: dict[str, float]
    curves: dict[int, dict[str, float]]
    files: dict[str, Path]
    approval: str = ""

    @property
    def cutoff(self) -> int:
        """Cutoff of the series, UTC epoch seconds."""
        return self.store.spec.split.cutoff

    @property
    def origin(self) -> dict[str, Any]:
        """What the repository remembers of the version."""
        return {"run": self.run, "variant": self.variant, "digest": self.digest, "cutoff": self.cutoff}


def read_package(name: str, run: str, inputs: Mapping[StepName, Path], *, history: Path) -> PackageSpec:
    """Read the parents of deploy_model.

    Args:
        name: Name of the model.
        run: Name of the run.
        inputs: Directories of the parents.
        history: What the training wrote of its epochs, if it is there.

    Raises:
        ArtifactError: A decision lacks what the deployment needs.
    """
    candidate = inputs[StepName.VALIDATE_SERVING]
    source = candidate / VERSION_DIR
    limits = [
        rule.limit for rule in read_decision(candidate / DECISION_FILE).rules if rule.rule == "max_difference_ratio"
    ]
    variant = read_decision(inputs[StepName.EVALUATE_COMPRESSED] / DECISION_FILE).variant
    if not limits or variant is None:
        raise ArtifactError(
            f"the decisions of {candidate} and of evaluate_compressed must name a difference limit and a variant; run both again"
        )
    evaluations = {
        step: inputs[step] / METRICS_FILE for step in (StepName.EVALUATE_MODEL, StepName.EVALUATE_COMPRESSED)
    }
    return PackageSpec(
        name=name,
        run=run,
        source=source,
        spec=read_feature_spec(source / EXPORTED_SPEC_FILE),
        store=read_series_store(inputs[StepName.VALIDATE_DATA]),
        store_dir=inputs[StepName.VALIDATE_DATA],
        variant=variant,
        digest=_directory_digest(source),
        max_difference_ratio=limits[0],
        golden=candidate / GOLDEN_FILE,
        metrics={key: value for step, path in evaluations.items() for key, value in _overall_metrics(step, path)},
        curves=_curves(history),
        files={step.value: path for step, path in evaluations.items()} | {"version": source / EXPORTED_SPEC_FILE},
        approval=read_decision(inputs[StepName.EVALUATE_MODEL] / DECISION_FILE).approval,
    )


def _curves(history: Path) -> dict[int, dict[str, float]]:
    """`train_model/<name>` of every number of an epoch, gradient norms by layer included."""
    if not history.is_file():
        return {}
    rows = json.loads(history.read_text(encoding="utf-8"))
    return {row["epoch"]: {f"{StepName.TRAIN_MODEL}/{name}": value for name, value in _numbers(row)} for row in rows}


def _numbers(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in row.items():
        if isinstance(value, int | float) and name != "epoch":
            yield name, float(value)
    for layer, (before, after) in row.get("layer_norms", {}).items():
        yield f"layer_gradient_norm/{layer}", float(before)
        yield f"layer_clipped_gradient_norm/{layer}", float(after)


def _directory_digest(directory: Path) -> str:
    files = {path.relative_to(directory).as_posix(): digest_file(path) for path in payload_files(directory)}
    return digest_text(json.dumps(files))


def _overall_metrics(step: StepName, path: Path) -> Iterator[tuple[str, float]]:
    """`<step>/<model>/<metric>` of every number under models.*.overall in metrics.json."""
    models = json.loads(path.read_text(encoding="utf-8")).get("models", {})
    for model, summary in models.items():
        for metric, value in summary.get("overall", {}).items():
            if isinstance(value, int | float):
                yield f"{step.value}/{model}/{metric}", float(value)
