"""The feature spec: all that turns a series into a model's inputs, fixed on the train cut.

It is written beside the features, beside the model and into every served version, so that Beam,
training, the exported graph, the gateway and the client make the same columns.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from forecasting.contracts.signature import SignatureSpec
from forecasting.features.columns import FILL_SEASONS
from forecasting.features.terms import Term, term_document, term_from_document


@dataclass(frozen=True)
class FourierSpec:
    """`order` pairs of sine and cosine of the local time over `period_s` seconds."""

    period_s: int
    order: int


@dataclass(frozen=True)
class CalendarSpec:
    """Calendar columns and the tables they need, so that no zone or holiday database is needed to serve.

    transitions: UTC epoch seconds at which the offset from UTC changes, ascending; offsets_s: the
    offset before the first and after each of them (one longer). holidays,
    school_holidays: local days since 1970-01-01, ascending. trend_start, trend_length_s: origin and unit of the column `trend`.
    learnt_until: end of the train cut, UTC epoch seconds.
    """

    columns: tuple[str, ...]
    fourier: tuple[FourierSpec, ...]
    transitions: tuple[int, ...]
    offsets_s: tuple[int, ...]
    holidays: tuple[int, ...]
    school_holidays: tuple[int, ...] = ()
    trend_start: int = 0
    trend_length_s: int = 31_557_600
    learnt_until: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Columns in order: calendar columns, then sine and cosine of each Fourier order."""
        waves = [
            f"fourier_{term.period_s}_{kind}_{k}"
            for term in self.fourier
            for k in range(1, term.order + 1)
            for kind in ("sin", "cos")
        ]
        return (*self.columns, *waves)


@dataclass(frozen=True)
class ScalerSpec:
    """How value columns are scaled, from the train cut: `(value - location) / scale`.

    location, scale: of every column, over all series. logarithmic: columns of which the logarithm of
    1 + value is taken first. own: for columns that each series scales by itself, location and scale by
    series; a series that is not there takes those over all.
    """

    location: dict[str, float]
    scale: dict[str, float]
    logarithmic: tuple[str, ...] = ()
    own: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)

    def of(self, column: str, series_id: str) -> tuple[float, float]:
        """Location and scale of a column in a series."""
        return self.own.get(column, {}).get(series_id, (self.location[column], self.scale[column]))

    def own_scales(self, series_id: str) -> tuple[float, ...]:
        """Location and scale of each column in `own`, as the model is told them among its static inputs."""
        return tuple(number for column in self.own for number in self.of(column, series_id))


@dataclass(frozen=True)
class FeatureSpec:
    """What a model reads. Value columns are in the table's units; calendar columns have none.

    target_scaling: `train` or `window` (`forecasting.config.features.FeaturesConfig.target_scaling`).
    lower_bound, upper_bound: what the target never goes beyond, such as 0 for sales; none: no bound.
    whole_numbers: whether it is a count. fill_season: steps
    of the season from which a missing target is filled as an input; 0: it is not.
    vintages: those of known of which training had vintages, so that their future depends on the origin.
    mean: whether the model forecasts the mean beside the quantiles.
    """

    target: str
    observed: tuple[str, ...]
    known: tuple[str, ...]
    static: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    step_s: int
    context: int
    horizon: int
    segment: int
    seasons: tuple[int, ...]
    quantiles: tuple[float, ...]
    calendar: CalendarSpec
    derived: tuple[Term, ...]
    scaler: ScalerSpec
    target_scaling: str
    lower_bound: float | None = None
    upper_bound: float | None = None
    whole_numbers: bool = False
    fill_season: int = 0
    vintages: tuple[str, ...] = ()
    mean: bool = False

    @property
    def history_length(self) -> int:
        """L: the context and, before it, what the feature that looks back furthest needs."""
        return history_length(self.context, self.derived, fill_season=self.fill_season)

    @property
    def value_columns(self) -> tuple[str, ...]:
        """Target, observed, known."""
        return (self.target, *self.observed, *self.known)

    @property
    def history_columns(self) -> tuple[str, ...]:
        """Columns of `history`: target, observed, known, calendar."""
        return (*self.value_columns, *self.calendar.names)

    @property
    def future_columns(self) -> tuple[str, ...]:
        """Columns of `future`: known, calendar."""
        return (*self.known, *self.calendar.names)

    @property
    def signature(self) -> SignatureSpec:
        """Shapes of the serving signature."""
        return SignatureSpec(
            history_length=self.history_length,
            horizon=self.horizon,
            n_history_columns=len(self.history_columns),
            n_future_columns=len(self.future_columns),
            n_static_columns=len(self.static) + 2 * len(self.scaler.own),
            quantiles=self.quantiles,
            mean=self.mean,
        )


def history_length(context: int, derived: Iterable[Term], *, fill_season: int = 0) -> int:
    """Steps a model reads: the context and, before it, what the feature that looks back furthest needs.

    Args:
        context: Steps that the network sees.
        derived: Derived features.
        fill_season: Season from which a missing target is filled; 0: it is not.
    """
    return context + max((FILL_SEASONS * fill_season, *(term.reach for term in derived)))


def write_feature_spec(spec: FeatureSpec, path: Path) -> None:
    """Write a spec as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {**asdict(spec), "derived": [term_document(term) for term in spec.derived]}
    path.write_text(json.dumps(document), encoding="utf-8")


def read_feature_spec(path: Path) -> FeatureSpec:
    """Read a spec written by `write_feature_spec`."""
    document = _with_tuples(json.loads(path.read_text(encoding="utf-8")))
    calendar = document["calendar"]
    document["categories"] = {name: tuple(values) for name, values in document["categories"].items()}
    document["calendar"] = CalendarSpec(
        **{**_with_tuples(calendar), "fourier": tuple(FourierSpec(**term) for term in calendar["fourier"])}
    )
    document["derived"] = tuple(term_from_document(term) for term in document["derived"])
    document["scaler"] = _scaler(document["scaler"])
    return FeatureSpec(**document)


def _scaler(document: dict[str, Any]) -> ScalerSpec:
    own = {column: {name: tuple(pair) for name, pair in scales.items()} for column, scales in document["own"].items()}
    return ScalerSpec(document["location"], document["scale"], tuple(document["logarithmic"]), own)


def _with_tuples(document: dict[str, Any]) -> dict[str, Any]:
    """JSON has no tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in document.items()}
