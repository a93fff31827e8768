"""Bodies of the gateway's interface as classes, for its OpenAPI document only; see `routes.py`."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.gateway.answers import JSON
from serving.gateway.arrow_bodies import ARROW


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class HistoryBody(_Document):
    """Values of past steps of one series; either `start` or `timestamps`."""

    start: str | None = Field(
        None, description="Time of the first value, ISO 8601 with a zone; a step apart from then on."
    )
    timestamps: list[str] | None = Field(
        None, description="Time of each value, in any order, on the grid of the series."
    )
    values: dict[str, list[float | None]] = Field(
        description="By column: the target, observed and known covariates; null leaves what is stored.", min_length=1
    )


class ForecastBody(_Document):
    """What is asked for; every key may be left out."""

    series: list[str] | None = Field(None, description="Ids; null: all series.", min_length=1)
    origin: str | None = Field(
        None, description="First step to forecast, ISO 8601 with a zone; null: the latest possible of each series."
    )
    cutoff: str | None = Field(
        None, description="In the place of `origin`: each series is forecast from its first step at or after this time."
    )
    quantiles: list[float] | None = Field(None, description="Levels of the model to give; null: all.")
    history: dict[str, HistoryBody] | None = Field(
        None,
        description="Recent history by series; it goes before what is stored, step by step. A series that the store "
        "does not have is forecast from this alone. Without `series`, these are the series that are forecast.",
        min_length=1,
    )
    static: dict[str, dict[str, str]] | None = Field(None, description="Categories of new series by static column.")
    known: dict[str, dict[str, list[float] | dict[str, float]]] | None = Field(
        None,
        description="Known covariates of the horizon by series and column: a list of one value a step from the origin "
        "on, or values by time. They go before those of the series store.",
    )
    fallback: bool | None = Field(
        None, description="false: the answer is the model's or an error, never the seasonal naive forecast."
    )
    model: Literal["champion", "candidate"] | int | None = Field(
        None, description="Who must answer: a role, or a version that has one; null: whoever does."
    )


class ObservationsBody(_Document):
    """What was observed."""

    observations: dict[str, HistoryBody] = Field(
        description="Values by series. A series that the model does not know is kept as well.", min_length=1
    )
    known_at: str | None = Field(
        None, description="Since when the values are known, ISO 8601 with a zone; null: the time of their receipt."
    )


class ObservationsDocument(_Document):
    """What became of the values."""

    new: int = Field(description="The first of their step.")
    restated: int = Field(description="Replaced another one, which is kept.")
    late: int = Field(description="Kept behind one that became known later.")
    unchanged: int = Field(description="Were there already.")
    repeated: bool = Field(description="The idempotency key was seen before; nothing was written.")
    known_at: str | None = Field(description="Since when they are known.")


class ForecastDocument(_Document):
    """The forecast of one series; lists have one entry a step."""

    series: str
    origin: str = Field(description="First step, the first of `timestamps`.")
    limited_by: str | None = Field(
        description="Why it does not begin after the last target, where none asked for that."
    )
    degraded: bool = Field(description="Whether the seasonal naive forecast stands in for the model.")
    reason: str | None = Field(description="Why it does.")
    imputed: bool = Field(description="Whether the model's context has gaps or filled values.")
    stale: bool = Field(
        description="Whether the newest target is more than a horizon older than the step before the origin."
    )
    timestamps: list[str] = Field(description="ISO 8601, UTC.")
    point: list[float] = Field(description="The 0.5 quantile.")
    mean: list[float] | None = Field(None, description="What to add up over steps and series; where the model has it.")
    quantiles: dict[str, list[float]] = Field(description="By level, ascending.")


class KeptForecastDocument(_Document):
    """A forecast that was given out; lists have one entry a step."""

    series: str
    version: int
    role: Literal["champion", "candidate"]
    made_at: str = Field(description="When it was made.")
    origin: str = Field(description="First step.")
    degraded: bool
    reason: str | None
    imputed: bool
    stale: bool
    timestamps: list[str]
    point: list[float]
    mean: list[float] | None
    quantiles: dict[str, list[float]]
    actual: list[float | None] = Field(description="What came, as it is known now; null where it is not known.")


class KeptForecastsDocument(_Document):
    """Forecasts of a series by origin, ascending, in the unit of the target."""

    model: str
    target: str
    step_s: int
    series: str
    forecasts: list[KeptForecastDocument]


class SkippedDocument(_Document):
    """A series without a forecast, where all were asked for."""

    series: str
    reason: str


class ForecastsDocument(_Document):
    """Forecasts of one version of the model, in the unit of the target."""

    model: str
    version: int
    role: Literal["champion", "candidate"] = Field(description="Of the version.")
    target: str
    step_s: int = Field(description="Seconds from step to step.")
    forecasts: list[ForecastDocument]
    skipped: list[SkippedDocument]


class SeriesDocument(_Document):
    """One series and from when it can be forecast."""

    id: str
    first_origin: str | None
    last_origin: str | None
    default_origin: str | None = Field(description="The origin taken where none is asked for.")
    next_origin: str | None = Field(description="The step after the last target.")
    degraded: bool = Field(description="Whether it is in quarantine, so that the fallback answers.")
    reason: str | None


class SeriesListDocument(_Document):
    """All series."""

    series: list[SeriesDocument]


class HistoryDocument(_Document):
    """What is known of one series; lists have one entry a step."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {
        "series": "north", "step_s": 3600, "target": "demand", "start": "2026-01-30T22:00:00Z", "end": "2026-01-31T00:00:00Z",
        "values": {"demand": [4120.5, 3998.0], "temperature": [4.5, None]},
    }})  # fmt: skip

    series: str
    step_s: int = Field(description="Seconds from step to step.")
    target: str
    start: str = Field(description="Time of the first values, ISO 8601, UTC.")
    end: str = Field(description="The step after the last ones.")
    values: dict[str, list[float | None]] = Field(description="By column; null where nothing is known.")


class LocalTimeDocument(_Document):
    """Local time of the series as the calendar columns have it."""

    transitions: list[int] = Field(description="UTC epoch seconds at which the offset changes, ascending.")
    offsets_s: list[int] = Field(description="Seconds ahead of UTC before the first change and after each.")


class ModelDocument(_Document):
    """The model that this gateway serves."""

    model: str
    champion: int | None
    candidate: int | None
    previous: int | None
    version: int = Field(
        description="The version that the facts below are of: the champion that this gateway has read."
    )
    run: str | None = Field(description="Run that made it, by the time of its start.")
    variant: str | None = Field(description="What is served: the SavedModel or a compressed variant of it.")
    version_bytes: int = Field(description="Size of its files.")
    champion_since: str | None = Field(description="When it became champion, where the audit log says so.")
    learnt_until: str | None = Field(description="End of what it was trained on.")
    local_time: LocalTimeDocument
    available_versions: list[int] = Field(description="What the model server has.")
    problem: str = Field(description="Why the model server cannot be asked; empty where it can.")
    cutoff: str = Field(description="End of the history that the champion came with.")
    target: str
    step_s: int
    horizon: int = Field(description="Steps of a forecast.")
    history_length: int = Field(description="Steps that the model reads.")
    quantiles: list[float]
    mean: bool
    known: list[str] = Field(description="Covariates that are known over the horizon.")
    observed: list[str] = Field(description="Covariates that are known up to the origin.")
    static: list[str] = Field(description="Columns with one value a series.")
    n_series: int
    fallback: bool
    degraded_answers: dict[str, int] = Field(description="Series that the fallback answered since the start, by cause.")
    quarantined: list[SkippedDocument]


class ErrorDocument(_Document):
    """The one form of every error."""

    error: str = Field(description="What must hold, what was found, where.")
    status: int
    request_id: str = Field(description="Also in the header x-request-id and in the gateway's log.")
    series: str | None = Field(None, description="Series that it is about.")
    column: str | None = Field(None, description="Column that it is about.")
    place: str | None = Field(None, description="Where in that column: a time, or the number of a row.")


class KserveSeries(BaseModel):
    """One input of KServe's protocol."""

    type: Literal["univariate_time_series", "multivariate_time_series"]
    name: str
    series: list[float | None] | list[list[float | None]]
    frequency: str = Field(description="second, minute, hour, day or week; the unit of the model's step.")
    start_timestamp: str = Field(description="Time of the first value, ISO 8601 with a zone.")


class KserveOptions(BaseModel):
    """Options of KServe's protocol."""

    horizon: int = Field(ge=1, description="Steps to give, up to the model's horizon.")
    quantiles: list[float] | None = None


class KserveBody(BaseModel):
    """A request by KServe's time-series protocol."""

    model: str
    inputs: list[KserveSeries] = Field(min_length=1)
    options: KserveOptions


def inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema with its definitions where they are used: in an OpenAPI document they would lie elsewhere."""
    definitions = schema.pop("$defs", {})

    def resolve(node: Any) -> Any:
        if isinstance(node, list):
            return [resolve(one) for one in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return resolve(definitions[node["$ref"].rpartition("/")[2]])
        return {key: resolve(value) for key, value in node.items()}

    found: dict[str, Any] = resolve(schema)
    return found


def body_of(model: type[BaseModel], examples: Mapping[str, Any], *, arrow: bool = False) -> dict[str, Any]:
    """A request body of the OpenAPI document.

    Args:
        model: Its schema as JSON.
        examples: By name.
        arrow: Whether it may also be an Arrow IPC stream.
    """
    content: dict[str, Any] = {JSON: {"schema": inlined(model.model_json_schema()), "examples": examples}}
    if arrow:
        content[ARROW] = {"schema": {"type": "string", "format": "binary"}}
    return {"requestBody": {"content": content}}


KSERVE_EXAMPLES: dict[str, Any] = {
    "one": {
        "summary": "One series, two levels",
        "value": {
            "model": "electricity",
            "inputs": [
                {
                    "type": "univariate_time_series",
                    "name": "north",
                    "series": [4120.5, 3998.0],
                    "frequency": "hour",
                    "start_timestamp": "2026-01-30T22:00:00Z",
                }
            ],
            "options": {"horizon": 24, "quantiles": [0.1, 0.9]},
        },
    }
}

FORECAST_EXAMPLES: dict[str, Any] = {
    "latest": {"summary": "The latest forecast of one series", "value": {"series": ["north"]}},
    "all": {"summary": "Every series, two levels", "value": {"quantiles": [0.1, 0.9]}},
    "past": {
        "summary": "A forecast as it would have been made then",
        "value": {"series": ["north", "south"], "origin": "2026-01-31T00:00:00Z"},
    },
    "history": {
        "summary": "From history that comes with the request",
        "value": {
            "history": {
                "north": {"start": "2026-01-30T22:00:00Z", "values": {"demand": [4120.5, 3998.0]}},
                "south": {"timestamps": ["2026-01-30T22:00:00Z"], "values": {"demand": [2210.0]}},
            }
        },
    },
    "known": {
        "summary": "With covariates of the horizon, by step and by time",
        "value": {
            "series": ["north", "south"],
            "known": {
                "north": {"temperature": [4.5, 4.1, 3.8]},
                "south": {"temperature": {"2026-01-31T00:00:00Z": 6.0, "2026-01-31T01:00:00Z": 5.7}},
            },
        },
    },
}

OBSERVATION_EXAMPLES: dict[str, Any] = {
    "hours": {
        "summary": "Two hours of one series, one of another",
        "value": {
            "observations": {
                "north": {"start": "2026-01-30T22:00:00Z", "values": {"demand": [4120.5, 3998.0]}},
                "south": {
                    "timestamps": ["2026-01-30T22:00:00Z"],
                    "values": {"demand": [2210.0], "temperature": [6.2]},
                },
            }
        },
    },
    "restated": {
        "summary": "A correction that became known the day after",
        "value": {
            "observations": {"north": {"start": "2026-01-30T22:00:00Z", "values": {"demand": [4131.0]}}},
            "known_at": "2026-01-31T09:00:00Z",
        },
    },
}
