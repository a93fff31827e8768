"""Cuts of the time line into train, validation and test."""

from forecasting.config.sections import ForecastConfig, SplitConfig
from forecasting.cutoffs import parse_cutoff
from forecasting.durations import duration_steps
from forecasting.errors import DataError
from forecasting.schema import SplitSpec


def split_spec(split: SplitConfig, forecast: ForecastConfig, *, first: int, cutoff: int, step_s: int) -> SplitSpec:
    """Cuts in time order: by lengths counted back from the cutoff, by dates, else by shares.

    Shares are of the time from the first row to the cutoff, in whole segments counted back from the
    cutoff, so that origins keep the time of day of the cutoff.

    Args:
        split: Which of the three.
        forecast: Its horizon is the embargo, its segment the unit of shares.
        first: First time stamp of all series, UTC epoch seconds.
        cutoff: First time stamp that belongs to no period.
        step_s: Step of the series in seconds.

    Raises:
        ConfigError: A length is no whole number of steps, or a date none of the kind.
        DataError: A period holds no forecast behind the embargo.
    """
    embargo_s = forecast.horizon * step_s if split.embargo else 0
    if split.validation is not None and split.test is not None:
        validation_end = cutoff - duration_steps(split.test, step_s) * step_s
        train_end = validation_end - duration_steps(split.validation, step_s) * step_s
    elif split.train_until is not None and split.validation_until is not None:
        train_end = _on_grid(split.train_until, "split.train_until", cutoff, step_s)
        validation_end = _on_grid(split.validation_until, "split.validation_until", cutoff, step_s)
    else:
        unit = forecast.segment * step_s
        _, validation_share, test_share = split.fractions
        validation_end = cutoff - round((cutoff - first) * test_share / unit) * unit
        train_end = validation_end - round((cutoff - first) * validation_share / unit) * unit
    cuts = SplitSpec(train_end, validation_end, cutoff, embargo_s)
    _check_room(cuts, forecast.horizon, step_s)
    return cuts


def _on_grid(text: str, key: str, cutoff: int, step_s: int) -> int:
    """A date on the grid of the cutoff, not after it was meant."""
    moment = int(parse_cutoff(text, key).timestamp())
    return moment - (moment - cutoff) % step_s


def _check_room(cuts: SplitSpec, horizon: int, step_s: int) -> None:
    periods = {"validation": (cuts.validation_start, cuts.validation_end), "test": (cuts.test_start, cuts.cutoff)}
    for name, (start, end) in periods.items():
        if end - start < horizon * step_s:
            n_steps = max(0, end - start) // step_s
            embargo = f" behind an embargo of {cuts.embargo_s // step_s}" if cuts.embargo_s else ""
            raise DataError(
                f"the {name} period must hold a forecast of {horizon} steps{embargo}, and has {n_steps}; change the split, or "
                "bring more rows"
            )
