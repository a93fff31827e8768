"""The configuration that is proposed, section by section, each setting with its reason."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from forecasting.config.sections import ForecastConfig, SplitConfig
from forecasting.formats import as_number, as_time
from pipelines.initial.commented import CHECK, Group, Listing, Node, Setting
from pipelines.initial.evidence import Evidence
from pipelines.initial.facts import TableFacts
from pipelines.initial.features import features_section
from pipelines.initial.lengths import LengthsGuess
from pipelines.initial.look import ColumnKind, TableLook
from pipelines.initial.publication import LagGuess
from pipelines.initial.roles import ColumnGuess, RolesGuess
from pipelines.initial.seasons import SeasonGuess, SeasonsGuess
from pipelines.initial.thresholds import threshold
from pipelines.initial.words import TOTAL_WORDS, has_word

_DAY_S = 86_400
_FEW_WINDOWS, _MANY_WINDOWS = 2_000, 500_000
_SLOW_RATE, _SLOW_WINDOWS = 0.001, 5_000
_NAIVE_SHARE = 0.9
_MAX_MISSING_RATIO = 0.1
_MAX_BEYOND_RATIO = 0.1
"""Share of series that may be left out for their missing steps."""
_MAX_STEPS_PER_EPOCH = 600
_MIN_STEPS, _MAX_EPOCHS, _PATIENCE = 300, 60, 10
"""Batches that a training sees at least, by more epochs where the table is small, and the patience of small tables."""


def duration(seconds: int) -> str:
    """A duration as configurations write it, in its largest whole unit up to days: 15min, 24h, 7d."""
    for unit_s, unit in ((_DAY_S, "d"), (3_600, "h"), (60, "min")):
        if seconds % unit_s == 0:
            return f"{seconds // unit_s}{unit}"
    return f"{seconds}s"


def data_section(
    uri: str, roles: RolesGuess, *, reading: Mapping[str, Any], look: TableLook, step_s: int, frequency_s: int,
    lags: tuple[LagGuess, ...] = (),
) -> Group:  # fmt: skip
    """Roles, zone and frequency."""
    members: list[Node] = [
        Setting("uri", uri, "" if "://" in uri or uri.startswith("/") else "relative to this file"),
        *(Setting(key, value, "as asked for by --set") for key, value in reading.items()),
        *(one for one in _times(roles, look) if not isinstance(one, Setting) or one.key not in reading),
        *_zone(roles, step_s),
        Setting("target", roles.target.name, _reason(roles.target)),
        *_layout(roles),
        _listing("known", roles.known, "known for the horizon too: calendar, plans, weather forecasts"),
        _listing("observed", roles.observed, "known only once they have happened"),
    ]
    if roles.categorical:
        members.append(_listing("categorical", roles.categorical, ""))
    if lags:
        names = ", ".join(one.column for one in lags)
        reason = f"{CHECK}the last values of {names} are missing where the target is there: published that much later, or not yet filled in"
        members.append(Setting("availability_lag", {one.column: duration(one.lag_s) for one in lags}, reason))
    if not roles.wide:
        members.append(_listing("static", roles.static, "one value for each series"))
    if roles.censored_by:
        members.append(Setting("censored_by", roles.censored_by.name, _reason(roles.censored_by)))
    members += _frequency(roles, look, step_s, frequency_s)
    unused = "\n".join(f"not used: {one.name} ({one.reason})" for one in roles.unused)
    return Group("data", tuple(members), unused)


def sections(evidence: Evidence) -> tuple[Node, ...]:
    """The whole configuration."""
    facts, roles = evidence.facts, evidence.roles
    data = data_section(
        evidence.uri,
        roles,
        reading=evidence.reading,
        look=evidence.look,
        step_s=facts.step.step_s,
        frequency_s=facts.frequency_s,
        lags=evidence.lags,
    )
    return (
        Setting("name", evidence.name, "the model: its directory in the repository, its name on the server"),
        data,
        _validation(evidence),
        _forecast(evidence),
        features_section(evidence),
        _split(evidence),
        *_model(evidence.n_windows),
        Group(
            "backtest",
            (
                Setting(
                    "stride",
                    stride(evidence.lengths),
                    f"steps between origins; {evidence.naive[0].n_windows:,} forecasts in the test period",
                ),
            ),
        ),
        Group(
            "compression",
            (Setting("max_accuracy_loss", 0.02, "what compression may cost, as a share of the float model's MAE"),),
        ),
        _gates(evidence),
    )


def stride(lengths: LengthsGuess) -> int:
    """Steps between origins of the backtest: a segment, or a horizon where that is shorter."""
    return min(lengths.segment, lengths.horizon)


def split_settings(lengths: LengthsGuess, step_s: int) -> tuple[SplitConfig, ForecastConfig]:
    """The settings from which the cuts follow."""
    split = SplitConfig(
        validation=duration(lengths.validation * step_s), test=duration(lengths.test * step_s), embargo=lengths.embargo
    )
    forecast = ForecastConfig(
        horizon=lengths.horizon, context=lengths.context, segment=lengths.segment, seasons=lengths.seasons
    )
    return split, forecast


def _reason(guess: ColumnGuess) -> str:
    return f"{CHECK if guess.check else ''}{guess.reason}"


def _listing(key: str, guesses: tuple[ColumnGuess, ...], comment: str) -> Listing:
    return Listing(key, tuple((guess.name, _reason(guess)) for guess in guesses), comment)


def _times(roles: RolesGuess, look: TableLook) -> list[Node]:
    """Which columns are the time, and how it is written."""
    timing = look.timing
    if timing is None or timing.column != roles.time.name:
        return [Setting("time_column", roles.time.name, _reason(roles.time))]
    reason = f"{CHECK if timing.check else ''}{timing.reason}"
    if "time_parts" not in timing.settings:
        column = Setting("time_column", roles.time.name, _reason(roles.time))
        return [column, Setting("time_format", timing.settings["time_format"], reason)]
    form = [Setting("time_format", timing.settings["time_format"])] if "time_format" in timing.settings else []
    return [Setting("time_parts", timing.settings["time_parts"], reason), *form]


def _zone(roles: RolesGuess, step_s: int) -> list[Node]:
    if not roles.is_naive:
        return []
    if step_s % _DAY_S == 0:
        return [Setting("time_zone", "UTC", "dates carry no zone; UTC keeps every day 24 hours long")]
    return [Setting("time_zone", "UTC", CHECK + "the times carry no zone; name the one on whose clock they were written, such as Europe/Berlin")]  # fmt: skip


def _layout(roles: RolesGuess) -> list[Node]:
    """What tells one series from another."""
    if roles.wide is None:
        return [_id_columns(roles)]
    return [
        Setting("layout", "wide", CHECK + roles.wide.reason + "; where one is the target and the others explain it, name it by --target"),
        Setting("series_columns", list(roles.wide.patterns)),
    ]  # fmt: skip


def _id_columns(roles: RolesGuess) -> Node:
    key = roles.key
    if not key.columns:
        often = "rows of one time have one target" if key.same_ratio is not None else "hardly any time occurs twice"
        return Setting("id_columns", [], f"one series: {often if key.n_duplicates else 'no time occurs twice'}")
    reason = f"together with the time they make every row unique: {key.n_series:,} series"
    return Setting("id_columns", list(key.columns), (CHECK if key.check else "") + reason)


def _frequency(roles: RolesGuess, look: TableLook, step_s: int, frequency_s: int) -> list[Node]:
    if frequency_s == step_s:
        return [Setting("frequency", duration(frequency_s), "the usual distance of two rows of a series")]
    target = roles.target.name
    how = "sum" if has_word(target, TOTAL_WORDS) else "mean"
    flags = [one.name for one in (*roles.known, *roles.observed) if look.column(one.name).kind is ColumnKind.FLAG]
    return [
        Setting(
            "frequency",
            duration(frequency_s),
            f"rows are {duration(step_s)} apart; a day would be {_DAY_S // step_s:,} steps, so they are brought together",
        ),
        Setting(
            "aggregation",
            {target: how, **dict.fromkeys(flags, "max")},
            CHECK + "mean for a level such as a load, sum for an amount such as sales",
        ),
    ]


def _validation(evidence: Evidence) -> Group:
    facts, roles = evidence.facts, evidence.roles
    members: list[Node] = list(_missing(facts))
    if n_differing := len(facts.sorting.differing):
        reason = f"{n_differing:,} rows repeat a time of their series with other values; times of a local clock do so when summer time ends: then name data.time_zone"
        if roles.key.same_ratio is not None:
            reason = f"{n_differing:,} rows repeat a time with other values, {roles.key.same_ratio:.1%} of them with the same target, so that they are no series of their own: of each time the first row is taken"
        members.append(Setting("duplicates", "first", CHECK + reason))
    if facts.n_sparse:
        reason = f"{facts.n_sparse:,} series keep their step of {duration(facts.step.step_s)} but for stretches in which rows are further apart: what lacks there counts as missing"
        members.append(Setting("severity", {"frequency": "warn"}, CHECK + reason))
    members.append(Setting("max_age", "2d", "for scheduled runs: how old the last target may be", off=True))
    ranges: dict[str, list[float | None]] = {}
    if facts.lowest >= 0:
        ranges[roles.target.name] = [0, None]
    for one in (*roles.known, *roles.observed):
        if evidence.look.column(one.name).kind is ColumnKind.FLAG:
            ranges[one.name] = [0, 1]
    if ranges:
        members.append(Setting("ranges", ranges, "smallest and largest plausible value; null: no bound"))
    comment = ""
    if left_out := evidence.quarantined:
        comment = f"{CHECK}{len(left_out):,} series are left out of training, the first is {left_out[0].series!r}: {left_out[0].reason}"  # fmt: skip
    return Group("validation", tuple(members), comment)


def _missing(facts: TableFacts) -> list[Setting]:
    """Allowed shares of missing steps: the usual one, unless more than single series need another one."""
    worst = float(facts.missing.max())
    n_beyond = int(np.count_nonzero(facts.missing > _MAX_MISSING_RATIO))
    if not n_beyond:
        return [Setting("max_missing_ratio", _MAX_MISSING_RATIO, f"share of steps without a target; found {worst:.2%} at most")]  # fmt: skip
    if n_beyond <= _MAX_BEYOND_RATIO * len(facts.missing):
        return [Setting("max_missing_ratio", _MAX_MISSING_RATIO, f"{CHECK}{n_beyond:,} of {len(facts.missing):,} series lack more of their steps, up to {worst:.2%}, and are left out")]  # fmt: skip
    limit = min(1.0, math.ceil(float(np.quantile(facts.missing, 1 - _MAX_BEYOND_RATIO)) * 100 + 1) / 100)
    reason = f"{CHECK}{n_beyond:,} of {len(facts.missing):,} series lack more than a tenth of their steps, up to {worst:.2%}, the longest gap being {duration(facts.gap_steps * facts.frequency_s)} from {as_time(facts.gap_start)} on; such steps are in no error and no score"  # fmt: skip
    return [Setting("max_missing_ratio", limit, reason), Setting("max_gap_ratio", limit)]


def _forecast(evidence: Evidence) -> Group:
    lengths, seasons, step_s = evidence.lengths, evidence.seasons, evidence.facts.frequency_s
    return Group("forecast", (
        Setting("horizon", lengths.horizon, f"steps ahead: {duration(lengths.horizon * step_s)}"),
        Setting("context", lengths.context, f"steps the model reads: {duration(lengths.context * step_s)}"),
        Setting("segment", lengths.segment, f"the recurrence runs over {lengths.context // lengths.segment} segments of {lengths.segment} steps"),
        Setting("seasons", list(lengths.seasons), _season_reason(seasons, lengths)),
        Setting("quantiles", [0.1, 0.5, 0.9], "0.5 is the point forecast; between 0.1 and 0.9 lie about 80 %"),
    ))  # fmt: skip


def _season_reason(seasons: SeasonsGuess, lengths: LengthsGuess) -> str:
    said = [f"{_season_name(one)}: {one.compared} that far apart correlate by {one.correlation:.2f}" for one in seasons.confirmed if one.steps in lengths.seasons]  # fmt: skip
    said += [f"the {one.name} ({one.steps}) does not fit the history" for one in seasons.confirmed if one.steps not in lengths.seasons]  # fmt: skip
    said += [f"no {one.name} ({one.steps}): {one.correlation:.2f}" for one in seasons.rejected]
    if lengths.seasons == (1,):
        said.insert(0, CHECK + "no season was found, so the naive forecast repeats the last value")
    return "; ".join(said)


def _season_name(season: SeasonGuess) -> str:
    return f"{season.name} ({season.steps})"


def _split(evidence: Evidence) -> Group:
    lengths, facts = evidence.lengths, evidence.facts
    step_s, cutoff = facts.frequency_s, facts.store.spec.split.cutoff
    n_series, n_tested = len(facts.store.series), facts.n_tested()
    n_train = facts.longest - lengths.validation - lengths.test
    comment = (
        f"by time, counted back from the end; {n_train:,} of {facts.longest:,} steps of the longest series lie before"
    )
    if n_tested < n_series:
        comment = f"{CHECK}only {n_tested:,} of {n_series:,} series reach into the test period, and errors and gates are of these alone; the others ended before it{_ended(n_tested, n_series)}\n{comment}"
    members: list[Node] = [
        Setting("validation", duration(lengths.validation * step_s), f"{lengths.validation / facts.longest:.0%} of the longest series: early stopping and calibration"),
        Setting("test", duration(lengths.test * step_s), f"{lengths.test / facts.longest:.0%}, up to {as_time(cutoff)}: the backtest and the gates"),
    ]  # fmt: skip
    if not lengths.embargo:
        members.append(Setting("embargo", False, "the periods are too short to leave a horizon out between them"))
    return Group("split", tuple(members), comment)


def _ended(n_tested: int, n_series: int) -> str:
    """What to do where most series end before the test period."""
    if n_tested > n_series / 2:
        return ""
    return (
        ". Where they have ended for good, they help to train; where their times are made up, as in a collection of unrelated "
        "series, move each in the table by whole weeks so that all end together"
    )


def _model(n_windows: int) -> tuple[Node, ...]:
    """Sizes where the defaults are too large or too small, and how long to train."""
    batch, epochs = next(
        size for most, size in ((2_000, (32, 30)), (50_000, (64, 10)), (500_000, (128, 10)), (math.inf, (256, 10))) if n_windows <= most
    )  # fmt: skip
    n_batches = math.ceil(n_windows / batch)
    few = n_batches * epochs < _MIN_STEPS
    epochs = min(_MAX_EPOCHS, math.ceil(_MIN_STEPS / n_batches)) if few else epochs
    training: list[Node] = [
        Setting("batch_size", batch, f"{n_batches:,} batches hold every window once"),
        Setting("max_epochs", epochs, "training stops early"),
        *(
            [Setting("patience", _PATIENCE, "so few batches change a model little")]
            if n_windows <= _FEW_WINDOWS
            else []
        ),
        *(
            [Setting("learning_rate", _SLOW_RATE, "slow: so few windows are soon learnt by heart")]
            if n_windows <= _SLOW_WINDOWS
            else []
        ),
        Setting("warmup_steps", _MIN_STEPS // 10 if few else min(100, max(10, n_batches))),
    ]
    if n_batches > _MAX_STEPS_PER_EPOCH:
        training.append(Setting("max_steps_per_epoch", _MAX_STEPS_PER_EPOCH, "a part of the windows, another one in each epoch"))  # fmt: skip
    sizes: list[Node] = []
    if n_windows <= _FEW_WINDOWS:
        sizes = [Setting("units", 32), Setting("head_units", 64)]
    elif n_windows > _MANY_WINDOWS:
        sizes = [Setting("units", 128)]
    model = [Group("model", tuple(sizes), f"a size for about {n_windows:,} training windows")] if sizes else []
    return (*model, Group("training", tuple(training), "" if model else f"about {n_windows:,} training windows"))


def _gates(evidence: Evidence) -> Group:
    best, target = evidence.naive[0], evidence.roles.target.name
    worst = [f"MAE {as_number(one.mae)} and RMSE {as_number(one.rmse)} by the season of {one.season}" for one in evidence.naive]  # fmt: skip
    mae, rmse = threshold(best.mae, _NAIVE_SHARE), threshold(best.rmse, _NAIVE_SHARE)
    comment = (
        f"Thresholds have no defaults: they say what is good enough for you. On the test period of this table the seasonal naive "
        f"forecast of {target} has {'; '.join(worst)}. Proposed is {_NAIVE_SHARE:g} of the better one: lower it to what your use needs."
    )
    model = Group("model", (
        Setting("max_mae", mae, f"{_NAIVE_SHARE:g} × {as_number(best.mae)}"),
        Setting("max_rmse", rmse, f"{_NAIVE_SHARE:g} × {as_number(best.rmse)}"),
        Setting("max_naive_ratio", _NAIVE_SHARE, "error as a share of the better seasonal naive's"),
        Setting("max_champion_ratio", 1.02, "against the model in service, on the same steps"),
        Setting("min_coverage", 0.65, "share of actual values between the outer quantiles; 0.8 is the promise", off=True),
    ))  # fmt: skip
    compressed = Group("compressed", (
        Setting("max_mae", mae),
        Setting("max_rmse", rmse),
    ))  # fmt: skip
    serving = Group("serving", (
        Setting("max_latency_ms", 50, "99th percentile of one forecast over gRPC"),
        Setting("max_difference_ratio", 0.001, "between gRPC, REST and the model in process, as a share of the mean forecast"),
    ))  # fmt: skip
    return Group("gates", (model, compressed, serving), comment)
