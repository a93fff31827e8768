"""Writes docs/features.md from the registered features: `python -m pipelines.docs_features > docs/features.md`."""

from forecasting.features.calendar import CALENDAR_COLUMNS
from forecasting.features.terms import TERM_KINDS

PREAMBLE = """\
# Features

Every feature is one function that runs on NumPy in Apache Beam and in the gateway and on TensorFlow in the exported
graph. A contract test holds both to a reference in float64 on series with gaps, constant pieces and levels of up to
10,000 standard deviations, and the calendar to the standard library across clock changes and leap days; a feature
without a reference fails it. Another one shows that no feature reads ahead, or further back than it says.

Missing values are left out of every sum and extreme, and what has no value at all is 0. With `features.fill_target:
seasonal` the model reads, where the target is missing, its value one of the shortest seasons of `forecast.seasons` earlier,
or of up to seven such; where there is none, 0. `TARGET_present`, which is 0 there, and `TARGET_filled` tell it so. Derived
features leave such steps out as before, and no loss, metric or actual ever holds a filled value.

This page is made by `python -m pipelines.docs_features`; a test holds it equal to the code.
"""

DERIVED = """\
## Derived from one column

Declared under `features.derived` by `kind`, with parameters as in [config.md](config.md#configuration). x is the column
scaled by the train cut, t the step; "scaled" means in units of the column's scale.

| kind | what | formula | unit |
|---|---|---|---|
"""

CALENDAR = """\

## Calendar

Declared under `features.calendar`, in the local time of `features.calendar_time_zone`; known for every step ahead.

| column | meaning |
|---|---|
"""

FOURIER = """\

Fourier terms, under `features.fourier`, are sin(2πk p) and cos(2πk p) for k = 1 … `order`, where p is the share of
`period` that has passed in local time since Monday, 1970-01-05.
"""


def features_page() -> str:
    """The whole page in Markdown."""
    derived = "".join(
        f"| `{name}` | {_first_line(kind.__doc__)} | {_cell(kind.formula)} | {kind.unit} |\n"
        for name, kind in TERM_KINDS.items()
    )
    calendar = "".join(f"| `{name}` | {_cell(kind.formula)} |\n" for name, kind in CALENDAR_COLUMNS.items())
    return f"{PREAMBLE}\n{DERIVED}{derived}{CALENDAR}{calendar}{FOURIER}"


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(features_page(), end="")
