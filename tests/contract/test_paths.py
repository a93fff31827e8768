"""One table: on every path through the graph every engine calls the same steps in the same order, and records the same end."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from forecasting.contracts.steps import StepName, parents_of, steps_of
from forecasting.contracts.vocabulary import RunStatus
from forecasting.manifests import load_manifest
from tests.contract.engines import Engine, make_place

NAMES = [step.value for step in steps_of()]


def up_to(step: str) -> list[str]:
    """The steps of a run that ends with one, and the report."""
    return [*NAMES[: NAMES.index(step) + 1], "report_run"]


@dataclass(frozen=True)
class PathSpec:
    """What is demanded of a path.

    wish: what a stand-in step is asked to do. calls: of steps, in this order, each attempt. last_is: how the last step before the
    report ends. calls_by_hand: of `almanac run`, which reports what asks for a retry and ends, and is resumed by its caller; what was
    killed it does once more by itself.
    """

    wish: str
    calls: list[str]
    status: RunStatus
    exit_code: int
    last_is: str = "succeeded"
    calls_by_hand: list[str] | None = None

    @property
    def states(self) -> dict[str, str]:
        """How each step ended that was begun."""
        steps = list(dict.fromkeys(self.calls))
        return {**dict.fromkeys(steps, "succeeded"), steps[-2]: self.last_is}


PATHS = {
    "passes": PathSpec("", NAMES, RunStatus.SUCCEEDED, 0),
    "data refused": PathSpec("validate_data=refuse", up_to("validate_data"), RunStatus.REFUSED, 3, "refused"),
    # The fourth gate, evaluate_model, has the same two branches as these (`test_graph.py`); a run of it costs much and shows no more.
    "variant refused": PathSpec("evaluate_compressed=refuse", up_to("evaluate_compressed"), RunStatus.REFUSED, 4, "refused"),
    "serving refused": PathSpec("validate_serving=refuse", up_to("validate_serving"), RunStatus.REFUSED, 4, "refused"),
    "step crashes": PathSpec("build_features=crash", up_to("build_features"), RunStatus.FAILED, 1, "failed"),
    # The first asks for a retry, the second is killed as for its memory.
    "two steps may pass": PathSpec(
        "build_features=busy,train_model=die_once", [*NAMES[:2], *NAMES[1:3], *NAMES[2:]], RunStatus.SUCCEEDED, 0,
        calls_by_hand=[*up_to("build_features"), *NAMES[1:3], *NAMES[2:]],
    ),
}  # fmt: skip


@pytest.mark.parametrize("engine", ["almanac run", "kubeflow", "argo"])
@pytest.mark.parametrize("path", PATHS)
def test_every_engine_goes_every_path_alike(path: str, engine: str, engines: dict[str, Engine], tmp_path: Path) -> None:
    wanted, place = PATHS[path], make_place(tmp_path / "place")
    went_well = engines[engine].play(place, wanted.wish)
    record = place.latest()
    refused = wanted.status == RunStatus.REFUSED
    gate = wanted.wish.removesuffix("=refuse") if refused else None
    calls = wanted.calls_by_hand if engine == "almanac run" else None
    assert (place.layout.root / "calls").read_text().split() == (calls or wanted.calls)
    assert place.states() == wanted.states
    assert list(place.states()) == list(wanted.states)
    assert (record.status, record.exit_code, record.refused_by) == (wanted.status, wanted.exit_code, gate)
    assert record.reason == (f"{gate} said refuse" if refused else None)
    # A refusal is a result: no engine takes it for a failure.
    assert went_well is (wanted.status != RunStatus.FAILED)
    assert place.layout.models.exists() is (wanted.status == RunStatus.SUCCEEDED)
    assert not list(place.layout.runs.glob(".*.claim"))
    for step in (StepName(name) for name, state in wanted.states.items() if state != "failed"):
        read = load_manifest(place.layout.run(record.run).step(step)).parents
        assert set(read) == {parent.value for parent in parents_of(step, ())}
