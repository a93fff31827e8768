"""From a table to a configuration that runs on it: look, guess, measure, write, and check by the rules of validation."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pyarrow as pa
import yaml

from components.validation.grid import infer_step
from components.validation.parts import read_whole
from components.validation.reading import sort_rows
from components.validation.sources import find_source
from components.validation.storing import make_store
from forecasting.config import AlmanacConfig, parse_config, step_settings
from forecasting.config.root import ValidateDataSettings
from forecasting.config.sections import ForecastConfig, SplitConfig
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.steps import StepName
from forecasting.errors import ConfigError, DataError
from forecasting.localities import time_zone
from forecasting.schema import SplitSpec
from forecasting.splits import split_spec
from pipelines.initial.commented import Group, Listing, Node, Setting, commented_yaml, to_check
from pipelines.initial.covariates import unfit_covariates, without_covariates
from pipelines.initial.document import data_section, duration, sections, split_settings, stride
from pipelines.initial.evidence import Evidence
from pipelines.initial.facts import TableFacts, measure, model_step, table_step
from pipelines.initial.judging import judge, without
from pipelines.initial.lengths import LengthsGuess, fit_lengths
from pipelines.initial.look import TableLook, read_times
from pipelines.initial.opening import (
    PLACEHOLDER_COMPRESSION,
    PLACEHOLDER_GATES,
    TIMING_KEYS,
    open_whole,
    reading_settings,
)
from pipelines.initial.publication import guess_lags
from pipelines.initial.roles import RolesGuess, guess_roles
from pipelines.initial.seasons import SeasonsGuess, guess_seasons
from pipelines.initial.thresholds import NaiveReport, score_naive
from pipelines.initial.timing import look_at_table


@dataclass(frozen=True)
class Proposal:
    """A configuration as text, what a person must look at in it, and what was found in one sentence."""

    text: str
    checks: tuple[str, ...]
    summary: str


@dataclass(frozen=True)
class ProposalSpec:
    """What is asked for. uri: of the table, as the configuration will name it; read_uri: as it is read from here.

    command: how the proposal was asked for. target: column to forecast; none: guess. horizon: steps ahead; none: guess.
    created: now, epoch seconds; none: no row is judged to be of the future. reading: settings of `data` that say how
    the table is read.
    """

    uri: str
    read_uri: str
    command: str
    target: str | None = None
    horizon: int | None = None
    created: float | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)


def propose(spec: ProposalSpec, home: HomeLayout) -> Proposal:
    """Propose a configuration for a table.

    Raises:
        ConfigError: The address is of no known kind, or `target` is no column of numbers.
        DataError: The table cannot be read, or cannot be forecast; the message says what must hold.
    """
    stated = {key: value for key, value in spec.reading.items() if key in TIMING_KEYS}
    look = look_at_table(open_whole(reading_settings({"uri": spec.read_uri, **spec.reading}), home), stated)
    roles = guess_roles(look, spec.target)
    seconds, _ = read_times(look.source, roles.time.name)
    step_s = table_step(seconds, roles.key.series, where=look.name)
    frequency_s = model_step(step_s, int(seconds.max() - seconds.min()))
    lags = guess_lags(roles, look, seconds)
    drafted = partial(
        data_section, spec.read_uri, reading=spec.reading, look=look, step_s=step_s, frequency_s=frequency_s, lags=lags
    )
    facts = _measure(_draft_settings(drafted(roles), frequency_s), home)
    seasons = guess_seasons(facts.targets(), frequency_s)
    lengths = _lengths(facts, seasons, spec.horizon, look.name)
    if unfit := unfit_covariates(facts.store, lengths.horizon):
        roles = without_covariates(roles, unfit)
        lags = tuple(one for one in lags if one.column not in unfit)
        drafted = partial(drafted, lags=lags)
        facts = _measure(_draft_settings(drafted(roles), frequency_s), home)
    evidence = replace(_evidence(spec, look, roles=roles, facts=facts, seasons=seasons, lengths=lengths), lags=lags)
    evidence = _judged(evidence, created=spec.created)
    try:
        nodes = sections(evidence)
    except DataError as error:
        raise DataError(f"{look.name}: {error}") from error
    text = commented_yaml(_head(spec, evidence), nodes)
    parse_config(yaml.safe_load(text), "the proposal")
    return Proposal(text, to_check(nodes), _summary(evidence))


def model_name(uri: str) -> str:
    """Name of a model from the name of its table."""
    stem = re.split(r"[/\\]", uri.partition("?")[0].rstrip("/\\*"))[-1].split(".")[0].lower()
    name = re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:40].strip("-")
    if not name:
        return "forecast"
    name = name if name[0].isalpha() else f"series-{name}"
    return name.removesuffix("-candidate")


def _draft_settings(data: Group, frequency_s: int) -> ValidateDataSettings:
    """Settings with which the table is read; what is not known yet is as small as can be."""
    document = {
        "data": _plain(data),
        "forecast": {"horizon": 1, "context": 1, "segment": 1, "seasons": [1]},
        "features": {"fourier": [], "calendar": [], "derived": []},
        "split": {"validation": duration(frequency_s), "test": duration(frequency_s), "embargo": False},
        "compression": PLACEHOLDER_COMPRESSION,
        "gates": PLACEHOLDER_GATES,
    }
    return _validate_settings(parse_config(document, "the proposal"))


def _validate_settings(config: AlmanacConfig) -> ValidateDataSettings:
    settings = step_settings(config, StepName.VALIDATE_DATA)
    if not isinstance(settings, ValidateDataSettings):
        raise ConfigError(f"validate_data needs its own settings, found {type(settings).__name__}")
    return settings


def _plain(node: Node) -> Any:
    """The value of a node without its comments."""
    if isinstance(node, Group):
        offered = {member.key for member in node.members if isinstance(member, Setting) and member.off}
        return {member.key: _plain(member) for member in node.members if member.key not in offered}
    return [name for name, _ in node.items] if isinstance(node, Listing) else node.value


def _measure(settings: ValidateDataSettings, home: HomeLayout) -> TableFacts:
    table, settings = read_whole(find_source(settings.data, home), settings)
    sorting = sort_rows(table)
    step = infer_step(sorting.rows)
    if step is None:
        raise DataError(f"{table.source.name} must have a series with at least two times that have a target, and it has none")  # fmt: skip
    made = make_store(table, sorting, step=step, settings=settings, cutoff=None)
    return measure(table, sorting, step=step, made=made, data=settings.data)


def _lengths(facts: TableFacts, seasons: SeasonsGuess, horizon: int | None, where: str) -> LengthsGuess:
    """Lengths for the usual series, or where that is too short, for the longest."""
    steps = tuple(season.steps for season in seasons.confirmed)
    try:
        return fit_lengths(facts.typical, facts.frequency_s, steps, horizon=horizon)
    except DataError:
        pass
    try:
        return fit_lengths(facts.longest, facts.frequency_s, steps, horizon=horizon)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def _evidence(
    spec: ProposalSpec, look: TableLook, *, roles: RolesGuess, facts: TableFacts, seasons: SeasonsGuess,
    lengths: LengthsGuess,
) -> Evidence:  # fmt: skip
    facts = facts.with_split(_split(facts, *split_settings(lengths, facts.frequency_s)))
    return Evidence(
        name=model_name(spec.uri),
        uri=spec.uri,
        reading=spec.reading,
        look=look,
        roles=roles,
        facts=facts,
        seasons=seasons,
        lengths=lengths,
        naive=(NaiveReport(lengths.seasons[0], 1.0, 1.0, 0),),
        n_windows=max(1, facts.n_windows(lengths)),
        zone=_zone_of(look.source.table.schema.field(roles.time.name).type),
    )


def _judged(evidence: Evidence, *, created: float | None) -> Evidence:
    """The evidence with what the rules of validation say, and with the naive forecast of what they leave.

    Raises:
        DataError: A rule refuses the table; the message is the rule's.
    """
    facts, lengths, where = evidence.facts, evidence.lengths, evidence.look.name
    draft = parse_config({node.key: _plain(node) for node in sections(evidence)}, "the proposal")
    if _split(facts, draft.split, draft.forecast) != facts.store.spec.split:
        raise DataError(f"{where}: the split of the proposal must be that of which its figures are")
    settings = _validate_settings(draft).model_copy(update={"data": facts.data})
    judgement = judge(facts, settings, created=created)
    if judgement.failures:
        raise DataError(f"{where} would be refused by validate_data: {judgement.failures[0]}")
    kept = without(facts, judgement.quarantine)
    naive = score_naive(kept.store, lengths.seasons, horizon=lengths.horizon, history=lengths.history, stride=stride(lengths))  # fmt: skip
    return replace(evidence, facts=kept, naive=naive, n_windows=max(1, kept.n_windows(lengths)), quarantined=judgement.quarantine.records)  # fmt: skip


def _split(facts: TableFacts, split: SplitConfig, forecast: ForecastConfig) -> SplitSpec:
    first = min(series.start for series in facts.store)
    return split_spec(split, forecast, first=first, cutoff=facts.store.spec.split.cutoff, step_s=facts.frequency_s)


def _zone_of(kind: pa.DataType) -> str | None:
    """Zone of a typed time column, where it has a place's name: an offset and UTC are no clock that people follow."""
    name = kind.tz if pa.types.is_timestamp(kind) else None
    if name is None or "/" not in name or name.startswith("Etc/"):
        return None
    try:
        time_zone(name)
    except ConfigError:
        return None
    return str(name)


def _head(spec: ProposalSpec, evidence: Evidence) -> str:
    return (
        f"{evidence.roles.target.name}, {duration(evidence.lengths.horizon * evidence.facts.frequency_s)} ahead; proposed by `{spec.command}`.\n\n"
        "Everything here is a guess from the table, with its reason; what is marked CHECK needs your eye first. What is not said "
        "here has a default; `almanac config schema` lists every setting with its comment."
    )


def _summary(evidence: Evidence) -> str:
    facts, best = evidence.facts, evidence.naive[0]
    return (
        f"{evidence.look.n_rows:,} rows, {len(facts.store.series):,} series of {duration(facts.frequency_s)} steps, target {evidence.roles.target.name}; "
        f"the seasonal naive has an MAE of {best.mae:.4g} on the test period"
    )
