"""Figures of the comparison of samplers, by hand."""

from pathlib import Path

from tests.benchmarks.tuning import TrialStore, compare, n_to_reach


def test_the_first_trial_that_is_as_good_counts() -> None:
    assert n_to_reach([0.5, 0.4, 0.3, 0.2], 0.3) == 3
    assert n_to_reach([0.5, 0.4], 0.3) is None


def test_a_study_that_never_comes_there_counts_as_endless() -> None:
    random = [[0.5, 0.3], [0.6, 0.4], [0.4, 0.4]]
    figures = compare({"tpe": [[0.5, 0.2], [0.9, 0.8], [0.4, 0.1]], "random": random})
    assert figures["median_best_loss_random_50"] == 0.4
    assert figures["trials_of_tpe_to_reach_random_50"] == [2, None, 1]
    assert figures["median_trials_of_tpe_to_reach_random_50"] == 2
    assert figures["median_best_loss_tpe_35"] == 0.2


def test_a_training_is_done_once_also_by_a_run_that_was_cut(tmp_path: Path) -> None:
    asked: list[float] = []

    def objective(settings) -> float:
        asked.append(settings["training.l2"])
        return settings["training.l2"] * 2

    for _ in range(2):
        loss = TrialStore(tmp_path / "trials.jsonl").kept(objective)
        assert [loss({"training.l2": value}) for value in (1.0, 2.0, 1.0)] == [2.0, 4.0, 2.0]
    assert asked == [1.0, 2.0]
