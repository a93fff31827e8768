"""Rules on single values that follow from the configuration, and which series break them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.validation.reading import ParsedTable
from components.validation.report import BrokenRuleRecord, Severity
from forecasting.config.root import ValidateDataSettings


@dataclass(frozen=True)
class ValueRuleSpec:
    """A rule on the values of a numeric column: they are there, or lie between `low` and `high`.

    limit: share of rows that may break it.
    """

    rule: str
    column: str
    limit: float
    is_range: bool = False
    low: float | None = None
    high: float | None = None

    @property
    def check(self) -> str:
        """Name of its check."""
        return f"expect_column_values_to_{'be_between' if self.is_range else 'not_be_null'}({self.column})"

    def is_broken(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Which values break it `[rows]`."""
        if not self.is_range:
            return np.isnan(values)
        low, high = -np.inf if self.low is None else self.low, np.inf if self.high is None else self.high
        return (values < low) | (values > high)


def value_rules(settings: ValidateDataSettings) -> tuple[ValueRuleSpec, ...]:
    """Rules on values that follow from the configuration: of the target, of covariates, of ranges."""
    limits, data = settings.validation, settings.data
    missing = [ValueRuleSpec("missing_covariate", name, limits.max_missing_ratio) for name in (*data.known, *data.observed)]  # fmt: skip
    ranges = [
        ValueRuleSpec("ranges", name, limits.max_out_of_range_ratio, is_range=True, low=low, high=high)
        for name, (low, high) in limits.ranges.items()
    ]
    return (ValueRuleSpec("missing_target", data.target, limits.max_missing_ratio), *missing, *ranges)


def broken_in_series(table: ParsedTable, settings: ValidateDataSettings) -> dict[str, list[BrokenRuleRecord]]:
    """Series that break a rule on values, by the name of the check: rules of severity quarantine are judged within each series."""
    return {
        rule.check: _over_limit(rule, table)
        for rule in value_rules(settings)
        if settings.validation.severity_of(rule.rule).value == Severity.QUARANTINE.value
    }


def _over_limit(rule: ValueRuleSpec, table: ParsedTable) -> list[BrokenRuleRecord]:
    values, codes, n_series = table.numbers[rule.column], table.ids.codes, len(table.ids.names)
    bad = rule.is_broken(values)
    n_bad = np.bincount(codes[bad], minlength=n_series)
    over = np.flatnonzero(n_bad / np.maximum(np.bincount(codes, minlength=n_series), 1) > rule.limit)
    first = np.full(n_series, -1, dtype=np.int64)
    places = np.flatnonzero(bad)[::-1]
    first[codes[places]] = places
    return [
        BrokenRuleRecord(
            table.ids.names[i],
            rule.rule,
            f"{rule.check}: {n_bad[i]:,} rows are unexpected, the first is {table.source.row_name(int(first[i]))} "
            f"with {values[first[i]]:g}",
        )
        for i in over
    ]
