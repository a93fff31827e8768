"""Run records as people and machines read them."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from forecasting.contracts.layout import RunLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.runs import RunRecord, StepRecord


def run_document(layout: RunLayout, record: RunRecord) -> dict[str, Any]:
    """A run with its steps for `--json`; `directory` is where it lies."""
    steps = [asdict(step) for step in record.steps.values()]
    return {**asdict(record), "steps": steps, "directory": str(layout.root)}


def moment(seconds: float) -> str:
    """A time in UTC, to the second."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}Z"


def step_state(record: RunRecord, step: StepName) -> str:
    """One word for how a step of a run stands."""
    found = record.steps.get(step)
    if found is None:
        return "waiting" if record.status == RunStatus.RUNNING else RunStatus.SKIPPED.value
    return "reused" if found.reused and found.status == RunStatus.SUCCEEDED else found.status.value


def step_remark(found: StepRecord | None) -> str:
    """What there is to say of a step: its error, its origin or its result."""
    if found is None:
        return ""
    if found.error:
        return found.error
    return f"from {found.reused_from}: {found.summary}" if found.reused else found.summary


def table(rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> list[str]:
    """Lines of a table with columns as wide as their widest cell; columns in `right` are aligned right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
