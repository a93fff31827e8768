"""Dashboards in Grafana's own model."""

import json

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models

from forecasting.contracts import metric_names as m
from infra.monitoring.dashboards.data_drift import data_drift
from infra.monitoring.dashboards.overview import overview
from infra.monitoring.dashboards.panel_spec import DashboardSpec, PanelKind, PanelSpec
from infra.monitoring.dashboards.pipeline import pipeline
from infra.monitoring.dashboards.quality import quality
from infra.monitoring.dashboards.serving import serving
from infra.monitoring.recording import CHAMPION
from infra.monitoring.spec import RulesSpec

_SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
_COLUMNS = 24
_LINES_SIZE, _NUMBER_SIZE = (8, 8), (4, 4)
"""Width and height in Grafana's grid of 24 columns."""


def dashboard_specs(spec: RulesSpec) -> tuple[DashboardSpec, ...]:
    """The five dashboards."""
    return (overview(spec), serving(), quality(spec), data_drift(spec), pipeline(spec))


def dashboard_json(spec: DashboardSpec) -> str:
    """A dashboard as the file that Grafana reads."""
    board = (
        builders.Dashboard(spec.title).uid(spec.uid).description(spec.description).tags(["almanac"]).readonly()
        .time(spec.since, "now").refresh("1m").timezone("utc").tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(builders.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_model_variable())
    )  # fmt: skip
    for name, expr, colour in _ANNOTATIONS:
        board.annotation(
            builders.AnnotationQuery().name(name).datasource(_SOURCE).enable(True).icon_color(colour).expr(expr)
        )
    for other in _LINKS:
        board.link(
            builders.DashboardLink(other)
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["almanac"])
            .keep_time(True)
            .include_vars(True)
        )
    number = _Numbers()
    for row in spec.rows:
        board.with_row(
            builders.Row(row.title).id(number.next()).grid_pos(models.GridPos(h=1, w=_COLUMNS, x=0, y=number.heading()))
        )
        for panel in row.panels:
            board.with_panel(_panel(panel, number))
    return json.dumps(board.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


_LINKS = ("Almanac",)
_ANNOTATIONS = (
    ("Promotions", f'changes(forecast_model_version{{model=~"$model",{CHAMPION}}}[2m]) > 0', "blue"),
    ("Runs", f'changes({m.PIPELINE_LAST_RUN.exposed}{{model=~"$model"}}[2m]) > 0', "purple"),
)


def _model_variable() -> builders.QueryVariable:
    query = f"label_values({m.MODEL_VERSION.exposed}, model)"
    found = (
        builders.QueryVariable("model").label("Model").query(query).datasource(_SOURCE).multi(True).include_all(True)
    )
    return (
        found.all_value(".+")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )


class _Numbers:
    """Where the next panel goes, and its number."""

    def __init__(self) -> None:
        self._id, self._x, self._y, self._height = 0, 0, 0, 0

    def next(self) -> int:
        """A number that no other panel has."""
        self._id += 1
        return self._id

    def heading(self) -> int:
        """Line of a heading, below everything before."""
        y = self._y + self._height
        self._x, self._y, self._height = 0, y + 1, 0
        return y

    def place(self, width: int, height: int) -> models.GridPos:
        """The next place in the row, or in the next one where it is full."""
        if self._x + width > _COLUMNS:
            self._x, self._y, self._height = 0, self._y + self._height, 0
        found = models.GridPos(h=height, w=width, x=self._x, y=self._y)
        self._x, self._height = self._x + width, max(self._height, height)
        return found


def _panel(spec: PanelSpec, numbers: _Numbers) -> timeseries.Panel | stat.Panel:
    panel: timeseries.Panel | stat.Panel = _lines(spec) if spec.kind is PanelKind.LINES else _number(spec)
    size = _LINES_SIZE if spec.kind is PanelKind.LINES else _NUMBER_SIZE
    panel.id(numbers.next()).title(spec.title).description(spec.description).unit(spec.unit)
    panel.datasource(_SOURCE).grid_pos(numbers.place(*size))
    for place, target in enumerate(spec.targets):
        query = prometheus.Dataquery().expr(target.expr).legend_format(target.legend).ref_id(chr(ord("A") + place))
        panel.with_target(query.datasource(_SOURCE).range())
    if spec.limits:
        steps = [
            models.Threshold(value=None if place == 0 else value, color=colour)
            for place, (value, colour) in enumerate(spec.limits)
        ]
        panel.thresholds(builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
    if spec.floor is not None:
        panel.min(spec.floor)
    if spec.ceiling is not None:
        panel.max(spec.ceiling)
    return panel


def _lines(spec: PanelSpec) -> timeseries.Panel:
    legend = (
        common_builders.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
    )
    panel = (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(5)
        .show_points(common.VisibilityMode.NEVER)
        .legend(legend.show_legend(True).calcs([]))
    )
    if spec.limits:
        panel.thresholds_style(
            common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        )
    return panel


def _number(spec: PanelSpec) -> stat.Panel:
    last = common_builders.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    mode = common.BigValueColorMode.VALUE if spec.limits else common.BigValueColorMode.NONE
    return (
        stat.Panel()
        .reduce_options(last)
        .color_mode(mode)
        .graph_mode(common.BigValueGraphMode.NONE)
        .text_mode(common.BigValueTextMode.VALUE_AND_NAME)
    )
