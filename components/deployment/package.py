"""What deploy_model ships, read from the outputs of the steps before it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.deployment.golden import GOLDEN_FILE
from forecasting.backtest.summary import finite_document, read_backtest_report
from forecasting.contracts.artifacts import DECISION_FILE, EXPORTED_SPEC_FILE, METRICS_FILE, VERSION_DIR
from forecasting.contracts.steps import StepName
from forecasting.errors import ArtifactError
from forecasting.features.spec import FeatureSpec, read_feature_spec
from forecasting.gates import read_decision
from forecasting.manifests import digest_text, payload_digests
from forecasting.monitoring.backtest_wape import BACKTEST_KEY
from forecasting.revision import code_revision
from forecasting.schema import SeriesStore
from forecasting.series_store import read_series_store


@dataclass(frozen=True)
class PackageSpec:
    """A version directory and what belongs to it.

    source: the version directory. store_dir: of the series store. digest: of the version's files.
    backtest: `mae` and `wape` of each step of the horizon of what ships.
    golden: file of the golden request, max_difference_ratio: how far its answer may be off. approval: why a person must approve it, empty where nobody need.
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
    approval: str = ""
    backtest: Mapping[str, Sequence[float | None]] = field(default_factory=dict)

    @property
    def cutoff(self) -> int:
        """Cutoff of the series, UTC epoch seconds."""
        return self.store.spec.split.cutoff

    @property
    def origin(self) -> dict[str, Any]:
        """What the repository remembers of the version."""
        return {
            "run": self.run,
            "variant": self.variant,
            "digest": self.digest,
            "cutoff": self.cutoff,
            "revision": code_revision().text,
            BACKTEST_KEY: dict(self.backtest),
        }


def read_package(name: str, run: str, inputs: Mapping[StepName, Path]) -> PackageSpec:
    """Read the parents of deploy_model.

    Args:
        name: Name of the model.
        run: Name of the run.
        inputs: Directories of the parents.

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
    return PackageSpec(
        name=name,
        run=run,
        source=source,
        spec=read_feature_spec(source / EXPORTED_SPEC_FILE),
        store=read_series_store(inputs[StepName.VALIDATE_DATA]),
        store_dir=inputs[StepName.VALIDATE_DATA],
        variant=variant,
        digest=digest_text(json.dumps(payload_digests(source))),
        max_difference_ratio=limits[0],
        golden=candidate / GOLDEN_FILE,
        approval=read_decision(inputs[StepName.EVALUATE_MODEL] / DECISION_FILE).approval,
        backtest=_backtest(inputs[StepName.EVALUATE_COMPRESSED], variant),
    )


def _backtest(folder: Path, variant: str) -> dict[str, tuple[float | None, ...]]:
    """Errors by step of one variant, as the record of the version keeps them; empty where they were not measured."""
    report = read_backtest_report(folder / METRICS_FILE).models.get(variant)
    if report is None:
        return {}
    return {name: finite_document(report.by_step[name]) for name in ("mae", "wape") if name in report.by_step}
