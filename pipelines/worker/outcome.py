"""What a run that was asked for came to, in a word and a line."""

from dataclasses import dataclass
from enum import StrEnum

from forecasting.contracts.artifacts import DEPLOYMENT_FILE
from forecasting.contracts.codes import RETRYABLE_CODES, ExitCode
from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.leases import effective_run
from forecasting.runs import RunRecord
from forecasting.summary import read_document
from pipelines.closing import failure_line


class RunOutcome(StrEnum):
    """How a run that was asked for ended.

    PROMOTED: there is a new champion. APPROVAL: the candidate waits for it. UNCHANGED: the champion is this very model. REFUSED:
    a gate said no. STOPPED: for a passing reason, to be tried again. FAILED: something has to be changed. GIVEN_UP: it was
    tried too often.
    """

    PROMOTED = "promoted"
    APPROVAL = "approval"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    STOPPED = "stopped"
    FAILED = "failed"
    GIVEN_UP = "given_up"


@dataclass(frozen=True)
class OutcomeRecord:
    """How a run ended, its exit code, and the line that the request keeps of it."""

    outcome: RunOutcome
    detail: str
    exit_code: int = int(ExitCode.DONE)


def run_outcome(home: HomeLayout, run: str | None, code: int, last_line: str) -> OutcomeRecord:
    """What came of a process that ended.

    Args:
        home: Where runs are.
        run: Its run; none where it began none.
        code: Its exit code.
        last_line: That it printed, or that its cluster says, for a run that never began, or not here.
    """
    if run is None or not home.run(run).record.is_file():
        return _ended_badly(code, last_line.removeprefix("almanac: ") or "it began no run")
    layout = home.run(run)
    record = effective_run(layout)
    found = _result(layout, record)
    return found or _ended_badly(code, failure_line(layout, record) or record.status.value)


def finished_outcome(home: HomeLayout, run: str) -> OutcomeRecord | None:
    """What a run that is over came to, where nobody wrote it down; none where it is to be resumed, or is not here."""
    layout = home.run(run)
    return _result(layout, effective_run(layout)) if layout.record.is_file() else None


def _result(layout: RunLayout, record: RunRecord) -> OutcomeRecord | None:
    if record.status == RunStatus.REFUSED:
        return OutcomeRecord(RunOutcome.REFUSED, f"refused by {record.refused_by}: {record.reason}")
    if record.status != RunStatus.SUCCEEDED:
        return None
    if record.last_step != StepName.DEPLOY_MODEL:
        return OutcomeRecord(RunOutcome.UNCHANGED, f"it ended after {record.last_step}")
    deployed = read_document(layout.step(StepName.DEPLOY_MODEL) / DEPLOYMENT_FILE)
    version = deployed["version"]
    if approval := deployed.get("approval"):
        return OutcomeRecord(RunOutcome.APPROVAL, f"version {version} waits for approval: {approval}")
    if deployed.get("already_champion") or record.steps[StepName.DEPLOY_MODEL].reused:
        return OutcomeRecord(RunOutcome.UNCHANGED, f"version {version} is champion already")
    return OutcomeRecord(RunOutcome.PROMOTED, f"promoted version {version}")


def _ended_badly(code: int, why: str) -> OutcomeRecord:
    if code in RETRYABLE_CODES:
        return OutcomeRecord(RunOutcome.STOPPED, f"ended with exit code {code}: {why}", code)
    # A process that says done without a run that is done is none to be believed.
    shown = int(ExitCode.BUG) if code == ExitCode.DONE else code
    return OutcomeRecord(RunOutcome.FAILED, f"failed with exit code {shown}: {why}", shown)
