"""A run that searches before it trains, by the local runner of Kubeflow Pipelines: the model has the settings found."""

import pytest

from forecasting.contracts.steps import StepName
from forecasting.manifests import load_manifest
from tests.integration.load_home import LoadHome, document, make_home

pytestmark = pytest.mark.slow

SEARCH = """\
tuning:
  in_run: true
  n_trials: 2
  folds: 1
  pruner: none
  sampler: random
  space:
    model.units: {low: 20, high: 24}
"""
WORDS = ("--to", "train_model", "--set", "training.max_epochs=1", "--set", "training.refit=false")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> LoadHome:
    """A home in which a run searched and trained; its space does not hold the units as configured."""
    made = make_home(tmp_path_factory.mktemp("in-run"))
    made.config.write_text(made.config.read_text() + SEARCH)
    process = made.start("run", "-c", str(made.config), *WORDS)
    said = process.communicate(timeout=900)[1]
    assert process.returncode == 0, said
    return made


def test_the_model_is_trained_with_the_best_settings_of_the_search(home: LoadHome) -> None:
    run = home.latest()
    tuned = document(run.step(StepName.TUNE_MODEL) / "tuned.json")
    trials = document(run.step(StepName.TUNE_MODEL) / "trials.json")["trials"]
    assert [trial["outcome"] for trial in trials] == ["scored", "scored"]
    best = min(trials, key=lambda trial: trial["value"])
    assert (tuned["settings"], tuned["was"]) == (best["settings"], {"model.units": 16})
    spec = document(run.step(StepName.TRAIN_MODEL) / "model_spec.json")
    assert spec["model"]["units"] == tuned["settings"]["model.units"]
    search = load_manifest(run.step(StepName.TUNE_MODEL))
    assert load_manifest(run.step(StepName.TRAIN_MODEL)).parents["tune_model"] == search.payload_digest
    assert "One at a time" not in (run.step(StepName.TUNE_MODEL) / "tuning.html").read_text()


def test_the_same_run_again_searches_nothing(home: LoadHome) -> None:
    first = home.latest().name
    done = home.run(*WORDS)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "tune_model" in line and not line.endswith("…")]
    assert line.endswith(f"unchanged, reused from {first}")


def test_a_search_that_is_done_again_finds_its_trials(home: LoadHome) -> None:
    before = document(home.latest().step(StepName.TUNE_MODEL) / "trials.json")["trials"]
    done = home.almanac("step", "tune_model")
    assert done.returncode == 0, done.stderr
    assert document(home.latest().step(StepName.TUNE_MODEL) / "trials.json")["trials"] == before
