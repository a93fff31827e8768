"""The last lines of `almanac run`."""

from forecasting.contracts.layout import RunLayout
from forecasting.contracts.vocabulary import RunStatus
from forecasting.runs import RunRecord, failed_step


def closing_lines(layout: RunLayout, record: RunRecord, config_path: str | None) -> list[str]:
    """Table of errors and sizes, version, report and the command that serves it; else what went wrong."""
    return [*_outcome_lines(layout, record, config_path)]


def _outcome_lines(layout: RunLayout, record: RunRecord, config_path: str | None) -> list[str]:
    return [record.status.value]
