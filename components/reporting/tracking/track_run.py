"""What report_run and searches do for trackers: gather a bundle, and send it with whatever waits from before."""

import logging
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from components.reporting.evidence import EvidenceRecord
from components.reporting.tracking.bundle import FILES_DIR, PIPELINE_PART, BundleRecord, VersionSpec
from components.reporting.tracking.files import link_files
from components.reporting.tracking.gather import gather_bundle
from components.reporting.tracking.removals import note_removals
from components.reporting.tracking.spool import put_bundle
from components.reporting.tracking.trials import study_bundle
from components.reporting.tracking.upload import UploadReport, upload
from forecasting.config.root import ReportRunSettings
from forecasting.config.tracking import TrackingConfig
from forecasting.contracts.artifacts import TRIALS_FILE, TRIALS_TABLE_FILE, TUNING_PAGE_FILE
from forecasting.contracts.layout import HomeLayout
from forecasting.errors import ArtifactError
from forecasting.repository import ModelRepository
from forecasting.revision import code_revision
from forecasting.steps import StepContext
from forecasting.tuning_record import TuningReport

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrackingReport:
    """Where a run was written down. problems: what waits and why, none where all trackers have it."""

    experiment: str
    run_id: str
    version: str
    problems: tuple[str, ...]


def track_run(
    settings: ReportRunSettings, evidence: EvidenceRecord, *, report: Path, context: StepContext
) -> TrackingReport:
    """Tell the trackers of a run; a tracker that is slow or down leaves the bundle in the spool.

    Args:
        settings: Model and section tracking.
        evidence: What the run left behind.
        report: Directory with the page and the gate reports.
        context: The run.
    """
    bundle = gather_bundle(evidence, settings, revision=code_revision())
    version_dir = _version_dir(bundle, context.home)
    if version_dir is None:
        bundle = replace(bundle, version=None)

    def fill(directory: Path) -> None:
        link_files(evidence, context.run, report=report, version_dir=version_dir, target=directory)

    try:
        _note_pruned(settings, evidence, context.home)
        put_bundle(context.home, bundle, fill)
        done = upload(context.home, budget_s=settings.tracking.time_budget_s)
    except (ArtifactError, OSError) as error:
        # A full disk, or a spool that somebody has damaged: said, and no reason to lose a report.
        done = UploadReport({}, (f"trackers were not told of {bundle.run}: {error}",))
    own = done.of(bundle.run)
    for problem in done.problems:
        logger.warning("%s", problem)
    return TrackingReport(
        experiment=own.experiment if own else "",
        run_id=own.run_id if own else "",
        version=own.version if own else "",
        problems=done.problems,
    )


def track_study(report: TuningReport, tracking: TrackingConfig, home: HomeLayout, *, folder: Path) -> tuple[str, ...]:
    """Tell the trackers of a search that is no step of a run; what they do not take waits in the spool.

    Args:
        report: The search.
        tracking: The section.
        home: The home.
        folder: With the files of the search.

    Returns:
        What waits and why, one line each; none where all trackers have it.
    """

    def fill(directory: Path) -> None:
        target = directory / FILES_DIR / PIPELINE_PART
        target.mkdir(parents=True)
        for name in (TRIALS_FILE, TRIALS_TABLE_FILE, TUNING_PAGE_FILE):
            # The next call of the search writes these files again, the bundle has those of this one.
            shutil.copyfile(folder / name, target / name)

    try:
        put_bundle(home, study_bundle(report, tracking), fill)
        return upload(home, budget_s=tracking.time_budget_s).problems
    except (ArtifactError, OSError) as error:
        return (f"trackers were not told of {report.study}: {error}",)


def _note_pruned(settings: ReportRunSettings, evidence: EvidenceRecord, home: HomeLayout) -> None:
    """Let MLflow forget the versions that the deployment has dropped."""
    pruned = (evidence.deployment or {}).get("pruned", ())
    if pruned and settings.retention.tracked:
        versions = [VersionSpec(int(one["number"]), str(one["digest"])) for one in pruned]
        note_removals(home, settings.name, settings.tracking, runs=(), versions=versions)


def _version_dir(bundle: BundleRecord, home: HomeLayout) -> Path | None:
    """Files of the version that was deployed; none where nothing was, or it is gone since."""
    if bundle.version is None:
        return None
    found = ModelRepository(home.models).version_dir(bundle.model, bundle.version.number)
    return found if found.is_dir() else None
