"""validation.html: what validation found, on one page without scripts or a network."""

from collections.abc import Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from components.validation.drawings import bars, curve, strips
from components.validation.report import CheckRecord, Severity, ValidationReport, iso_time
from forecasting.contracts.artifacts import VALIDATION_PAGE_FILE as PAGE_FILE
from forecasting.schema import Series, SeriesSpec

Floats = npt.NDArray[np.float64]

__all__ = ["PAGE_FILE", "PageFigures", "validation_page"]

_N_STRIPS = 30
"""Series whose missing values are drawn: those that miss most."""
_N_CELLS = 120
_N_BINS = 40
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#212529;background:#fff;margin:0 auto;max-width:64rem;padding:1rem 1.5rem 3rem}
table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #dee2e6;padding:.3rem .5rem;text-align:left;vertical-align:top}
.fail{color:#b42318}.quarantine{color:#9a3412}.warn{color:#9a6700}.ok{color:#1a7f37}svg{width:100%;height:auto}
svg text{font:11px system-ui,sans-serif;fill:#57606a}.bar{fill:#0b5cad}.line{fill:none;stroke:#0b5cad;stroke-width:2}.back{fill:#eef1f4}.gap{fill:#b42318}
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#15181b}td,th{border-color:#444}.back{fill:#2a2f34}svg text{fill:#aaa}.ok{color:#4ac26b}.fail,.quarantine{color:#ff8f80}.warn{color:#e3b341}.bar{fill:#7cb7ff}.line{stroke:#7cb7ff}}
"""


class PageFigures:
    """What the page draws, gathered series by series."""

    def __init__(self, spec: SeriesSpec, *, season: int, first: int, extent: tuple[float, float]) -> None:
        """Nothing is gathered yet.

        Args:
            spec: Of the store.
            season: Steps over which the usual course is drawn.
            first: First time stamp of all series.
            extent: The smallest and the largest target; NaN where there is none.
        """
        self.spec, self.season, self.first, self.extent = spec, season, first, extent
        self.n_series = 0
        self._missing: list[tuple[float, str, Floats]] = []
        self._bins = np.zeros(_N_BINS, dtype=np.int64)
        self._edges = np.zeros(_N_BINS + 1)
        self._sums, self._counts = np.zeros(season), np.zeros(season)

    def add(self, one: Series) -> None:
        """Gather a series."""
        spec, target = self.spec, one.values[:, 0]
        self.n_series += 1
        cells = missing_cells(one, first=self.first, end=spec.split.cutoff, step_s=spec.step_s, n_cells=_N_CELLS)
        self._missing.append((-float(np.nansum(cells)), one.id, cells))
        if len(self._missing) >= 2 * _N_STRIPS:
            self._missing = self._worst()
        filled = ~np.isnan(target)
        if filled.any():
            found, self._edges = np.histogram(target[filled], bins=_N_BINS, range=self.extent)
            self._bins += found
            places = (one.timestamps(spec.step_s)[filled] // spec.step_s) % self.season
            self._sums += np.bincount(places, weights=target[filled], minlength=self.season)
            self._counts += np.bincount(places, minlength=self.season)

    @property
    def missing(self) -> dict[str, Floats]:
        """Cells of the series that miss most targets, those first."""
        return {name: cells for _, name, cells in self._worst()}

    @property
    def distribution(self) -> tuple[npt.NDArray[np.int64], Floats]:
        """Counts and edges of the histogram of the target."""
        return self._bins, self._edges

    @property
    def course(self) -> Floats:
        """Mean target at each step of the season over all series, `[season]`; steps are counted from 1970 on."""
        return np.where(self._counts > 0, self._sums / np.maximum(self._counts, 1), np.nan)

    def _worst(self) -> list[tuple[float, str, Floats]]:
        return sorted(self._missing, key=lambda found: found[:2])[:_N_STRIPS]


def validation_page(report: ValidationReport, figures: PageFigures, *, has_docs: bool) -> str:
    """The page in HTML.

    Args:
        report: What was found.
        figures: Of what is trained on, before gaps were filled.
        has_docs: Whether the Data Docs lie beside the page.
    """
    verdict = "passed" if report.passed else "refused"
    docs = '<p><a href="data_docs/index.html">Every expectation in the Data Docs</a></p>' if has_docs else ""
    size = (
        f"<p>{report.n_rows:,} rows; {report.n_series:,} series with {report.n_steps:,} steps of {report.step_s:,} s, "
        f"{report.start} to {report.cutoff}</p>"
    )
    body = [
        f"<h1>{escape(report.source)}: {verdict}</h1>",
        size,
        docs,
        _checks_table(report.checks),
        _quarantine_table(report),
        *_drawings(figures),
    ]
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Validation of {escape(report.source)}</title><style>{_STYLE}</style></head><body>{''.join(body)}</body></html>"
    )


def missing_cells(one: Series, *, first: int, end: int, step_s: int, n_cells: int) -> npt.NDArray[np.float64]:
    """Share of steps without a target in equal parts of the time from `first` to `end`, `[n_cells]`.

    NaN where the series has no steps.
    """
    times = one.timestamps(step_s)
    inside = times < end
    cells = ((times[inside] - first) * n_cells // (end - first)).astype(np.int64)
    n_steps = np.bincount(cells, minlength=n_cells)
    n_missing = np.bincount(cells[np.isnan(one.values[inside, 0])], minlength=n_cells)
    return np.where(n_steps > 0, n_missing / np.maximum(n_steps, 1), np.nan)


def _checks_table(checks: Sequence[CheckRecord]) -> str:
    ordered = sorted(checks, key=lambda check: (check.passed, list(Severity).index(check.severity)))
    rows = "".join(
        f'<tr><td class="{"ok" if check.passed else check.severity.value}">'
        f"{'passed' if check.passed else check.severity.value}</td><td>{escape(check.name)}</td><td>{escape(check.message)}</td></tr>"
        for check in ordered
    )
    return f"<h2>Checks</h2><table><tr><th></th><th>check</th><th>found</th></tr>{rows}</table>"


def _quarantine_table(report: ValidationReport) -> str:
    if not report.quarantined:
        return ""
    rows = "".join(
        f"<tr><td>{escape(record.series)}</td><td>{escape(record.reason)}</td></tr>" for record in report.quarantined
    )
    return f"<h2>Quarantine</h2><table><tr><th>series</th><th>reason</th></tr>{rows}</table>"


def _drawings(figures: PageFigures) -> list[str]:
    target, missing = figures.spec.target, figures.missing
    drawn = f", the {len(missing)} series that miss most" if figures.n_series > len(missing) else ""
    parts = [
        f"<h2>Missing targets over time{drawn}</h2>",
        strips(missing, iso_time(figures.first), iso_time(figures.spec.split.cutoff)),
    ]
    counts, edges = figures.distribution
    if counts.any():
        parts += [
            f"<h2>Distribution of {escape(target)}</h2>",
            bars(counts.astype(np.float64), f"{edges[0]:g}", f"{edges[-1]:g}"),
            f"<h2>Usual course of {escape(target)} over {figures.season} steps</h2>",
            curve(figures.course, "step 0 (UTC)", f"step {figures.season - 1}"),
        ]
    return parts
