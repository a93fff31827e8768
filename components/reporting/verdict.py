"""The verdict of a run in a sentence, and what a reader should know beside it."""

import math
from dataclasses import dataclass

from components.reporting.evidence import EvidenceRecord
from forecasting.backtest.summary import better_naive
from forecasting.command_word import command_word
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.formats import as_number, as_share


@dataclass(frozen=True)
class VerdictReport:
    """tone: good, bad or neutral. badge: two words at most. sentence: the verdict. details: what stands behind it."""

    tone: str
    badge: str
    sentence: str
    details: tuple[str, ...]


def judge_run(evidence: EvidenceRecord) -> VerdictReport:
    """Say what became of a run; the words are those of the steps themselves."""
    match evidence.status:
        case RunStatus.SUCCEEDED:
            return _succeeded(evidence)
        case RunStatus.REFUSED:
            return _refused(evidence)
        case RunStatus.STOPPED:
            return _stopped(evidence)
        case RunStatus.FAILED:
            return _failed(evidence)
        case _:
            return VerdictReport("neutral", "Incomplete", "The run has not come to its last step.", ())


def _succeeded(evidence: EvidenceRecord) -> VerdictReport:
    deployment = evidence.deployment
    if deployment is None:
        last = evidence.run.last_step
        return VerdictReport("neutral", "Done", f"The run ended after {last}, as asked; nothing was deployed.", ())
    version = deployment["version"]
    if deployment.get("already_champion") or evidence.run.steps[StepName.DEPLOY_MODEL].reused:
        sentence = f"Nothing new to deploy: version {version} is this very model and was deployed before."
        return VerdictReport("good", "Unchanged", sentence, tuple(_accuracy_lines(evidence)))
    if deployment.get("approval"):
        sentence = f"Version {version} passed every gate and waits for a person to approve it."
        lines = (
            f"Why: {deployment['approval']}.",
            f"{command_word()} models approve {deployment['model']} makes it champion; {_champion_line(evidence).lower()}",
        )
        return VerdictReport("neutral", "Waits for approval", sentence, (*lines, *_accuracy_lines(evidence)))
    sentence = f"Version {version} passed every gate and is the champion now."
    return VerdictReport("good", "Promoted", sentence, tuple(_accuracy_lines(evidence)))


def _refused(evidence: EvidenceRecord) -> VerdictReport:
    step = next(step for step in evidence.run.steps.values() if step.status == RunStatus.REFUSED)
    what = "The data was refused" if step.step == StepName.VALIDATE_DATA else f"{step.step} refused the candidate"
    return VerdictReport(
        "bad", "Not promoted", f"{what}. {_champion_line(evidence)}", tuple(_refusal_lines(evidence, step.step))
    )


def _refusal_lines(evidence: EvidenceRecord, step: StepName) -> list[str]:
    if step == StepName.VALIDATE_DATA:
        checks = (evidence.validation or {}).get("checks", ())
        return [check["message"] for check in checks if not check["passed"] and check["severity"] == "fail"]
    decision = evidence.decisions.get(step)
    failed = [rule.sentence() for rule in decision.rules if not rule.passed] if decision else []
    return failed or [evidence.run.steps[step].summary]


def _failed(evidence: EvidenceRecord) -> VerdictReport:
    step = evidence.culprit
    if step is None:
        return VerdictReport("bad", "Failed", "The run failed; no step says why.", ())
    if step.status == RunStatus.RUNNING:
        sentence = f"{step.step} ended without a word: its process was killed, for example because memory ran out."
    else:
        sentence = f"{step.step} failed with {step.error_type}: {step.error}"
    lines = (f"The log of the step is logs/{step.step.value}.log in the run directory.", _champion_line(evidence))
    return VerdictReport("bad", "Failed", sentence, lines)


def _stopped(evidence: EvidenceRecord) -> VerdictReport:
    where = f" in {evidence.culprit.step}" if evidence.culprit else ""
    resume = f"{command_word()} run --resume {evidence.run.run} continues it from the last finished step."
    return VerdictReport("neutral", "Stopped", f"The run was stopped{where}.", (resume, _champion_line(evidence)))


def _champion_line(evidence: EvidenceRecord) -> str:
    version = (evidence.evaluation or {}).get("champion_version")
    if version is not None:
        return f"Version {version} stays the champion."
    return "There is no champion yet." if evidence.evaluation else "What was served before is served still."


def _accuracy_lines(evidence: EvidenceRecord) -> list[str]:
    report = evidence.backtest
    if report is None or "candidate" not in report.models:
        return []
    mae = report.models["candidate"].overall["mae"]
    naive = report.models[better_naive(report.models)].overall["mae"]
    lines = [
        (
            f"The mean absolute error of {report.unit} is {as_number(mae)} over {report.n_points:,} steps of the test period, "
            f"{_compared(mae, naive)} than the better seasonal naive's {as_number(naive)}."
        )
    ]
    if "champion" in report.models:
        champion = report.models["champion"].overall["mae"]
        lines.append(f"The champion before it has {as_number(champion)} on the same steps.")
    decision = next((found for found in reversed(list(evidence.decisions.values())) if found.variant), None)
    return [*lines, f"What ships: {decision.reason}."] if decision else lines


def _compared(value: float, reference: float) -> str:
    if not math.isfinite(value) or not math.isfinite(reference) or reference <= 0:
        return "not comparable"
    change = value / reference - 1
    return f"{as_share(abs(change))} {'lower' if change <= 0 else 'higher'}"
