"""Why a step would run again: the parts of its key then and now."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from forecasting.cache import NEVER_REUSED, STEP_KINDS, KeyRecord, find_finished, load_key, step_key
from forecasting.config.root import AlmanacConfig, step_settings
from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import StepName, parents_of, steps_of
from forecasting.errors import ArtifactError, DataError
from forecasting.manifests import verify
from forecasting.steps import StepContext


@dataclass(frozen=True)
class StepExplanationReport:
    """What would become of a step, and why. `reasons` is empty where it would be reused."""

    step: StepName
    reused: bool
    reasons: tuple[str, ...]


def explain_steps(
    home: HomeLayout, run: RunLayout, config: AlmanacConfig, cutoff: str | None, *, now: float
) -> list[StepExplanationReport]:
    """For each step, whether a run begun now would reuse it, against what an earlier run did.

    Args:
        home: Where runs and models are.
        run: The run to compare with.
        config: Configuration of the run that would begin now.
        cutoff: Its cutoff.
        now: When it would begin, epoch seconds.
    """
    reports: list[StepExplanationReport] = []
    again: set[StepName] = set()
    for step in steps_of(config.optional_steps):
        report = _explain(step, StepContext(home, run, cutoff, now), config, again)
        if not report.reused:
            again.add(step)
        reports.append(report)
    return reports


def key_differences(then: KeyRecord, now: KeyRecord) -> list[str]:
    """What differs between two keys, one line a part."""
    lines = [f"contract version {then.contract} → {now.contract}"] if then.contract != now.contract else []
    old, new = _flatten(then.settings), _flatten(now.settings)
    lines += [
        f"setting {key}: {_short(old.get(key, 'not set'))} → {_short(new.get(key, 'not set'))}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
    if then.cutoff != now.cutoff:
        lines.append(f"cutoff {then.cutoff or 'end of the table'} → {now.cutoff or 'end of the table'}")
    lines += [
        f"{parent} has another output" for parent in now.parents if then.parents.get(parent) != now.parents[parent]
    ]
    lines += [
        f"code {path} {_change(then.code.get(path), now.code.get(path))}"
        for path in sorted(then.code.keys() | now.code.keys())
        if then.code.get(path) != now.code.get(path)
    ]
    if then.lock != now.lock:
        lines.append("the locked packages changed")
    lines += [
        f"{name}: {_short(then.external.get(name, 'none'))} → {_short(now.external.get(name, 'none'))}"
        for name in sorted(then.external.keys() | now.external.keys())
        if then.external.get(name) != now.external.get(name)
    ]
    return lines


def _explain(
    step: StepName, context: StepContext, config: AlmanacConfig, again: set[StepName]
) -> StepExplanationReport:
    home, run = context.home, context.run
    if step in NEVER_REUSED:
        return StepExplanationReport(step, False, ("it tells of its own run and is never reused",))
    then = load_key(run, step)
    if then is None:
        return StepExplanationReport(step, False, (f"run {run.name} never began it",))
    read = parents_of(step, config.optional_steps)
    behind = [parent for parent in read if parent in again]
    try:
        settings = step_settings(config, step)
        parents = {parent: verify(run.step(parent), STEP_KINDS[parent]).payload_digest for parent in read}
        now = step_key(step, settings, cutoff=context.cutoff, parents=parents, home=home, created=context.created)
    except (ArtifactError, DataError) as error:
        return StepExplanationReport(step, False, (str(error),))
    # Parents are told of by name below; here the parts that are the step's own are compared.
    reasons = key_differences(
        then,
        replace(now, parents={**now.parents, **{name: then.parents[name] for name in behind if name in then.parents}}),
    )
    reasons += [f"{parent} would run again" for parent in behind]
    if not reasons and find_finished(step, now.digest, home, config.name) is None:
        reasons = [_why_not_found(step)]
    return StepExplanationReport(step, not reasons, tuple(reasons))


def _why_not_found(step: StepName) -> str:
    if step == StepName.DEPLOY_MODEL:
        return "what it deployed is not the champion now, or its output is gone or altered"
    return "it did not finish, its result hung on passing conditions, or its output is gone or altered"


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _change(then: str | None, now: str | None) -> str:
    if then is None:
        return "is new"
    return "changed" if now is not None else "is gone"
