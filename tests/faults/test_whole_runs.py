"""Whole runs of the real command, killed at random moments; `make kills` kills more often."""

import random

import pytest

from forecasting.wire.messages import SavedModel
from tests.faults import whole_runs
from tests.integration.load_home import MODEL

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]

N_KILLS, SEED = 3, 7


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory):
    """A home with a champion, what the next run of it ends with, and its CPU seconds."""
    folder = tmp_path_factory.mktemp("whole")
    home = whole_runs.begin(folder)
    return home, *whole_runs.undisturbed(home, folder / "undisturbed")


def test_a_run_killed_at_random_moments_ends_as_if_nobody_had_killed_it(begun, tmp_path):
    home, expected, cpu_s = begun
    moments = whole_runs.moments(random.Random(SEED), N_KILLS, cpu_s)
    kills = whole_runs.killed(home, tmp_path / "home", moments_s=moments, expected=expected)
    assert len(kills) == N_KILLS


@pytest.mark.parametrize("name", ["model.tflite", "variables/variables.index", "saved_model.pb"])
def test_half_a_version_or_a_second_one_is_noticed(begun, tmp_path, name):
    home, expected, _ = begun
    broken = home.copy(tmp_path / "home")
    whole_runs.assert_sound(broken, expected)
    version = broken.layout.models / MODEL / "2"
    version.mkdir()
    (version / name).parent.mkdir(exist_ok=True)
    (version / name).write_bytes(b"half")
    with pytest.raises(whole_runs.BrokenHomeError, match="version 2 must be the whole model"):
        whole_runs.assert_sound(broken, expected)


def _saved(number: int, operation: str) -> bytes:
    saved = SavedModel()
    function = saved.meta_graphs.add().graph_def.library.function.add()
    function.signature.name = f"__inference_serve_{number}"
    function.node_def.add(name="last", op=operation)
    return bytes(saved.SerializeToString())


def test_graphs_are_compared_without_the_numbers_that_tensorflow_gives():
    assert whole_runs.graph_digest(_saved(17, "Add")) == whole_runs.graph_digest(_saved(18_040, "Add"))
    assert whole_runs.graph_digest(_saved(17, "Add")) != whole_runs.graph_digest(_saved(17, "Sub"))
