"""What receivers are told of a run."""

from dataclasses import dataclass

from components.reporting.evidence import EvidenceRecord
from components.reporting.verdict import judge_run
from forecasting.config.notify import RunOutcome
from forecasting.contracts.artifacts import RUN_REPORT_FILE
from forecasting.contracts.layout import RunLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus


@dataclass(frozen=True)
class NotificationSpec:
    """One message. version: deployed or waiting, none where nothing was. report: path of the page. created: epoch seconds."""

    outcome: RunOutcome
    run: str
    model: str
    status: str
    sentence: str
    details: tuple[str, ...]
    version: int | None
    cutoff: str | None
    created: float
    report: str

    @property
    def subject(self) -> str:
        """One line."""
        return f"[{self.model}] {self.outcome.value.replace('_', ' ')}: {self.sentence}"

    @property
    def text(self) -> str:
        """The message as a plain text."""
        lines = [self.sentence, *(f"- {detail}" for detail in self.details), ""]
        facts = {
            "Run": self.run,
            "Model": self.model,
            "Cutoff": self.cutoff or "end of the table",
            "Report": self.report,
        }
        return "\n".join([*lines, *(f"{name}: {value}" for name, value in facts.items()), ""])


def message_of(evidence: EvidenceRecord, run: RunLayout) -> NotificationSpec:
    """The message about a run; its words are those of the report."""
    verdict = judge_run(evidence)
    version = (evidence.deployment or {}).get("version")
    return NotificationSpec(
        outcome=outcome_of(evidence),
        run=evidence.run.run,
        model=evidence.run.model,
        status=evidence.status.value,
        sentence=" ".join(verdict.sentence.split()),
        details=verdict.details,
        version=version if evidence.status == RunStatus.SUCCEEDED else None,
        cutoff=evidence.run.cutoff,
        created=evidence.run.created,
        report=str(run.step(StepName.REPORT_RUN) / RUN_REPORT_FILE),
    )


def outcome_of(evidence: EvidenceRecord) -> RunOutcome:
    """What became of a run in one word."""
    match evidence.status:
        case RunStatus.SUCCEEDED:
            return _deployed(evidence)
        case RunStatus.REFUSED:
            gate = next(step.step for step in evidence.run.steps.values() if step.status == RunStatus.REFUSED)
            return RunOutcome.DATA_REFUSED if gate == StepName.VALIDATE_DATA else RunOutcome.MODEL_REFUSED
        case RunStatus.STOPPED:
            return RunOutcome.STOPPED
        case _:
            return RunOutcome.FAILED


def _deployed(evidence: EvidenceRecord) -> RunOutcome:
    if evidence.deployment is None:
        return RunOutcome.ENDED_EARLY
    if evidence.deployment.get("already_champion") or evidence.run.steps[StepName.DEPLOY_MODEL].reused:
        return RunOutcome.UNCHANGED
    return RunOutcome.WAITS_FOR_APPROVAL if evidence.deployment.get("approval") else RunOutcome.PROMOTED
