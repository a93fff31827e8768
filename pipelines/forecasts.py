"""Ask a gateway for forecasts and write them where a user wants them."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forecasting.command_word import command_word
from forecasting.errors import ConfigError, RemoteError
from pipelines.known_file import KnownDocument

TIMEOUT_S = 60.0
MAX_DRAWN = 6
"""Series in a picture at most."""
MAX_NOTES = 3
"""Origins, and skipped series, of which a line is written at most."""
_COLOURS, _DEGRADED_COLOURS = ("#9ecae1", "#08519c"), ("#fdd0a2", "#c8620a")
"""Band and line of a forecast by the model, and of one by the fallback."""
DEGRADED = "degraded"
"""Column that says whether the fallback answered."""
SUFFIXES = (".csv", ".parquet", ".png")


@dataclass(frozen=True)
class ForecastTableSpec:
    """Forecasts as a table: one row a series and step; columns series, timestamp, point, mean where there is one, one a quantile, degraded."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def ask_gateway(
    endpoint: str,
    series: Sequence[str],
    origin: str | None,
    known: KnownDocument | None = None,
    ca_file: str | None = None,
) -> dict[str, Any]:
    """The gateway's answer to a forecast request.

    Args:
        endpoint: `http://host:port`.
        series: Ids; none: all series.
        origin: First step to forecast, ISO 8601; none: the latest possible.
        known: Known covariates of the horizon by series, column and time; none: those of the series store.
        ca_file: Certificates that are trusted; none: those of the system.

    Raises:
        ConfigError: The gateway refuses the request, or the endpoint is no URL.
        RetryableError: The gateway is not ready, or does not answer in time.
        RemoteError: It cannot be reached, or answers with an error.
    """
    from serving.client.errors import GatewayUnreachableError
    from serving.client.gateway import GatewayClient
    from serving.client.questions import JSON, forecast_call

    call = forecast_call(series or None, None, origin=origin, known=known or None, accept=JSON)
    try:
        with GatewayClient(endpoint, deadline_s=TIMEOUT_S, ca_file=ca_file) as client:
            answer = client.document(call)
    except GatewayUnreachableError as error:
        raise RemoteError(f"{error}; `{command_word()} serve -c FILE` starts one") from error
    if "forecasts" not in answer:
        raise RemoteError(f"{endpoint} must answer with forecasts; is it a gateway?")
    return answer


def forecast_table(answer: dict[str, Any]) -> ForecastTableSpec:
    """Rows of an answer."""
    forecasts = answer["forecasts"]
    levels = list(forecasts[0]["quantiles"]) if forecasts else []
    mean = ("mean",) if forecasts and "mean" in forecasts[0] else ()
    return ForecastTableSpec(
        ("series", "timestamp", "point", *mean, *(f"q{level}" for level in levels), DEGRADED),
        tuple(row for forecast in forecasts for row in _rows(forecast, levels)),
    )


def origin_notes(answer: dict[str, Any]) -> list[str]:
    """From when the forecasts are and what limits that, one line an origin; which are degraded, which series skipped."""
    starts = Counter((forecast["origin"], forecast.get("limited_by")) for forecast in answer["forecasts"])
    notes = [
        f"{n_series} series forecast from {origin}" + (f": {limited_by}" if limited_by else "")
        for (origin, limited_by), n_series in starts.most_common()
    ]
    reasons = Counter(forecast["reason"] for forecast in answer["forecasts"] if forecast.get("degraded"))
    degraded = [f"degraded: {n} series by the seasonal naive forecast: {why}" for why, n in reasons.most_common()]
    skipped = [f"skipped: {entry['reason']}" for entry in answer.get("skipped", ())]
    return [
        *_first(notes, "other origins"),
        *_first(degraded, "reasons for a degraded forecast"),
        *_first(skipped, "skipped series"),
    ]


def write_forecasts(answer: dict[str, Any], path: Path) -> None:
    """Write an answer as CSV, Parquet or a picture, by the suffix of the file.

    Raises:
        ConfigError: The suffix is none of these, or the folder does not exist.
    """
    check_output(path)
    match path.suffix:
        case ".csv":
            _write_csv(forecast_table(answer), path)
        case ".parquet":
            _write_parquet(forecast_table(answer), path)
        case _:
            _draw(answer, path)


def check_output(path: Path) -> None:
    """Refuse an output that cannot be written, before anything is asked.

    Raises:
        ConfigError: The suffix is unknown, or the folder does not exist.
    """
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"--out must end in {', '.join(SUFFIXES)}, found {path}")
    if not path.resolve().parent.is_dir():
        raise ConfigError(f"--out {path}: there is no folder {path.resolve().parent}")


def _first(lines: list[str], what: str) -> list[str]:
    rest = len(lines) - MAX_NOTES
    return [*lines[:MAX_NOTES], f"and {rest} more {what}"] if rest > 0 else lines


def _rows(forecast: dict[str, Any], levels: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    mean = [forecast["mean"]] if "mean" in forecast else []
    columns = [forecast["point"], *mean, *(forecast["quantiles"][level] for level in levels)]
    for step, timestamp in enumerate(forecast["timestamps"]):
        rest = (values[step] for values in columns)
        yield (forecast["series"], timestamp, *rest, bool(forecast.get("degraded")))


def _write_csv(found: ForecastTableSpec, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(found.columns)
        writer.writerows([str(cell).lower() if isinstance(cell, bool) else cell for cell in row] for row in found.rows)


def _write_parquet(found: ForecastTableSpec, path: Path) -> None:
    from datetime import datetime

    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = dict(zip(found.columns, zip(*found.rows, strict=True), strict=True)) if found.rows else {}
    stamps = [datetime.fromisoformat(text) for text in columns.pop("timestamp", ())]
    arrays = {
        "series": pa.array(columns.pop("series", ()), pa.string()),
        "timestamp": pa.array(stamps, pa.timestamp("s", "UTC")),
    }
    flags = pa.array(columns.pop(DEGRADED, ()), pa.bool_())
    arrays |= {name: pa.array(values, pa.float32()) for name, values in columns.items()}
    arrays[DEGRADED] = flags
    pq.write_table(pa.table(arrays), path)


def _source(answer: dict[str, Any], forecast: dict[str, Any]) -> str:
    """What made a forecast, in words."""
    if forecast.get("degraded"):
        return f"degraded: seasonal naive, not {answer['model']}"
    return f"{answer['model']} version {answer['version']}"


def _draw(answer: dict[str, Any], path: Path) -> None:
    from datetime import datetime

    from matplotlib.figure import Figure

    forecasts = answer["forecasts"][:MAX_DRAWN]
    figure = Figure(figsize=(16, 1 + 3.5 * max(len(forecasts), 1)), dpi=100, layout="constrained")
    for axes, forecast in zip(figure.subplots(len(forecasts), 1, squeeze=False)[:, 0], forecasts, strict=True):
        times = [datetime.fromisoformat(text) for text in forecast["timestamps"]]
        levels = sorted(forecast["quantiles"], key=float)
        low, high = levels[0], levels[-1]
        band, line = _DEGRADED_COLOURS if forecast.get("degraded") else _COLOURS
        axes.fill_between(
            times, forecast["quantiles"][low], forecast["quantiles"][high],
            color=band, alpha=0.5, linewidth=0, label=f"{low} to {high} quantile",
        )  # fmt: skip
        axes.plot(times, forecast["point"], color=line, linewidth=2, label="median")
        if "mean" in forecast:
            axes.plot(times, forecast["mean"], color=line, linewidth=1.5, linestyle="--", label="mean")
        axes.set_title(f"{forecast['series']}: {answer['target']}, {_source(answer, forecast)}", loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#dddddd")
        axes.set_axisbelow(True)
        axes.set_ylabel(str(answer["target"]))
        axes.set_xlabel("UTC")
        axes.legend(frameon=False, loc="upper right")
    figure.savefig(path)
