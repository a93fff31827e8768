"""Expectations on the profile of series, a row a series, as classes of Great Expectations.

Each names its column of the profile; what it measures is in `series_measures`, its limit comes from the
configuration. One metric serves them all: a measure is at most its limit.
"""

from typing import Any, ClassVar

import pandas as pd
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    column_condition_partial,
)
from great_expectations.render import LegacyRendererType, RenderedStringTemplateContent
from great_expectations.render.renderer.renderer import renderer

_METRIC = "column_values.series_measure_at_most"


class SeriesMeasureAtMost(ColumnMapMetricProvider):
    """Whether the measure of a series is at most the limit."""

    condition_metric_name = _METRIC
    condition_value_keys = ("limit",)

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column: pd.Series, limit: float, **kwargs: Any) -> pd.Series:  # noqa: ARG002, N805 - as above
        return column <= limit


class SeriesExpectation(ColumnMapExpectation):
    """Base of the expectations on series: the measure in `column` is at most `limit` in every one."""

    limit: float = 0.0
    words: ClassVar[str] = ""
    map_metric: ClassVar[str] = _METRIC
    success_keys: ClassVar[tuple[str, ...]] = ("limit", "mostly")
    args_keys: ClassVar[tuple[str, ...]] = ("column", "limit")

    @classmethod
    @renderer(renderer_type=LegacyRendererType.PRESCRIPTIVE)
    def _prescriptive_renderer(
        cls,
        configuration: Any = None,
        result: Any = None,
        runtime_configuration: Any = None,  # noqa: ARG003 - as Great Expectations calls it
        **kwargs: Any,  # noqa: ARG003
    ) -> list[RenderedStringTemplateContent]:
        chosen = configuration or result.expectation_config
        limit = chosen.kwargs.get("limit", 0)
        template = {"template": f"$name: {cls.words}", "params": {"name": chosen.type, "limit": f"{limit:g}"}}
        return [RenderedStringTemplateContent(content_block_type="string_template", string_template=template)]


class ExpectSeriesToKeepARegularStep(SeriesExpectation):
    """Every row is a whole number of steps away from the others."""

    column: str = "rows_off_grid"
    words: ClassVar[str] = "no row is off the grid of the table's step"


class ExpectSeriesToHaveOneFrequency(SeriesExpectation):
    """No ten rows in a row keep another distance."""

    column: str = "second_step_s"
    words: ClassVar[str] = "no ten rows in a row keep another distance than the table's step"


class ExpectSeriesTimesToAscend(SeriesExpectation):
    """No row is earlier than the one before it."""

    column: str = "rows_out_of_order"
    words: ClassVar[str] = "no row is earlier than the one before it"


class ExpectSeriesTimesToBeUnique(SeriesExpectation):
    """No time stamp has two rows with different values."""

    column: str = "differing_duplicates"
    words: ClassVar[str] = "no time stamp has rows with different values"


class ExpectSeriesToHaveNoFutureRows(SeriesExpectation):
    """No target is stamped later than the begin of the run."""

    column: str = "future_rows"
    words: ClassVar[str] = "no target is stamped later than the begin of the run"


class ExpectSeriesToHaveATarget(SeriesExpectation):
    """There is at least one target."""

    column: str = "is_all_missing"
    words: ClassVar[str] = "at least one step has a target"


class ExpectSeriesTargetsToBePresent(SeriesExpectation):
    """The share of steps without a target."""

    column: str = "missing_ratio"
    words: ClassVar[str] = "at most a share of $limit of the steps is without a target"


class ExpectSeriesGapsToBeShort(SeriesExpectation):
    """The longest run of steps without any value."""

    column: str = "longest_gap_steps"
    words: ClassVar[str] = "the longest gap has at most $limit steps"


class ExpectSeriesGapsToBeRare(SeriesExpectation):
    """The share of steps without any value."""

    column: str = "gap_ratio"
    words: ClassVar[str] = "at most a share of $limit of the steps has no value"


class ExpectSeriesToBeFresh(SeriesExpectation):
    """Seconds from the last target to the cutoff."""

    column: str = "age_s"
    words: ClassVar[str] = "the last target ends at most $limit s before the cutoff"


class ExpectSeriesHistoryToBeLong(SeriesExpectation):
    """Steps that the history lacks."""

    column: str = "missing_history_steps"
    words: ClassVar[str] = "the history is not shorter than validation.min_history"


class ExpectSeriesToChange(SeriesExpectation):
    """The target has more than one value."""

    column: str = "is_constant"
    words: ClassVar[str] = "the target has more than one value"


class ExpectSeriesLevelToHold(SeriesExpectation):
    """The largest jump of the level."""

    column: str = "level_shift"
    words: ClassVar[str] = "the level jumps by at most $limit usual changes from season to season"


class ExpectSeriesUnitToHold(SeriesExpectation):
    """No change of unit by 10, 100, 1000 or between °C and °F."""

    column: str = "unit_changes"
    words: ClassVar[str] = "no column changes its unit (by 10, 100, 1000; °C, °F)"


class ExpectSeriesCovariatesToReachTheHorizon(SeriesExpectation):
    """Known values that lack in the horizon."""

    column: str = "missing_ahead"
    words: ClassVar[str] = "known covariates are complete over the horizon where the table goes on after the cutoff"


EXPECTATION_OF: dict[str, type[SeriesExpectation]] = {
    "regular_step": ExpectSeriesToKeepARegularStep,
    "frequency": ExpectSeriesToHaveOneFrequency,
    "order": ExpectSeriesTimesToAscend,
    "duplicates": ExpectSeriesTimesToBeUnique,
    "future_rows": ExpectSeriesToHaveNoFutureRows,
    "all_missing": ExpectSeriesToHaveATarget,
    "missing_target": ExpectSeriesTargetsToBePresent,
    "gaps": ExpectSeriesGapsToBeShort,
    "gap_share": ExpectSeriesGapsToBeRare,
    "stale_series": ExpectSeriesToBeFresh,
    "short_history": ExpectSeriesHistoryToBeLong,
    "constant_target": ExpectSeriesToChange,
    "level_shift": ExpectSeriesLevelToHold,
    "unit_change": ExpectSeriesUnitToHold,
    "covariates_ahead": ExpectSeriesCovariatesToReachTheHorizon,
}
"""The expectation of each rule on series."""
