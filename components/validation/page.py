"""validation.html: what validation found, on one page without scripts or a network."""

from collections.abc import Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from components.validation.drawings import bars, curve, strips
from components.validation.report import CheckRecord, Severity, ValidationReport, iso_time
from forecasting.contracts.artifacts import VALIDATION_PAGE_FILE as PAGE_FILE
from forecasting.schema import Series, SeriesStore

__all__ = ["PAGE_FILE", "validation_page"]

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


def validation_page(report: ValidationReport, store: SeriesStore, *, season: int, has_docs: bool) -> str:
    """The page in HTML.

    Args:
        report: What was found.
        store: What is trained on, before gaps were filled.
        season: Steps over which the usual course is drawn.
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
        *_drawings(store, season),
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


def seasonal_course(store: SeriesStore, season: int) -> npt.NDArray[np.float64]:
    """Mean target at each step of the season over all series, `[season]`; steps are counted from 1970 on."""
    sums, counts, step_s = np.zeros(season), np.zeros(season), store.spec.step_s
    for one in store:
        filled = ~np.isnan(one.values[:, 0])
        places = (one.timestamps(step_s)[filled] // step_s) % season
        sums += np.bincount(places, weights=one.values[filled, 0], minlength=season)
        counts += np.bincount(places, minlength=season)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


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


def _drawings(store: SeriesStore, season: int) -> list[str]:
    spec = store.spec
    first, end = min(one.start for one in store), spec.split.cutoff
    cells = {one.id: missing_cells(one, first=first, end=end, step_s=spec.step_s, n_cells=_N_CELLS) for one in store}
    worst = sorted(cells, key=lambda name: (-float(np.nansum(cells[name])), name))[:_N_STRIPS]
    values = np.concatenate([one.values[:, 0] for one in store])
    found = values[~np.isnan(values)]
    drawn = f", the {len(worst)} series that miss most" if len(cells) > len(worst) else ""
    parts = [
        f"<h2>Missing targets over time{drawn}</h2>",
        strips({name: cells[name] for name in worst}, iso_time(first), iso_time(end)),
    ]
    if len(found):
        counts, edges = np.histogram(found, bins=_N_BINS)
        parts += [
            f"<h2>Distribution of {escape(spec.target)}</h2>",
            bars(counts.astype(np.float64), f"{edges[0]:g}", f"{edges[-1]:g}"),
            f"<h2>Usual course of {escape(spec.target)} over {season} steps</h2>",
            curve(seasonal_course(store, season), "step 0 (UTC)", f"step {season - 1}"),
        ]
    return parts
