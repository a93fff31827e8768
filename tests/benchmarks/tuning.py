"""How much sooner TPE finds good settings than random draws do.

`make bench-tuning` searches the settings of a small segment_lstm on 100 days of the demand of Victoria, one day ahead: five
studies of 35 trials by TPE, five of 50 at random, by the samplers of `almanac tune`. Every trial is the one
training loop with few steps, in one process, and its value the best validation loss. Each is kept as it ends, beside the
result, so that a run that was cut goes on. It writes build/bench/tuning.json (a quarter of an hour of one
core; it needs the tables of ../shared).
"""

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import optuna

from components.tuning.study import suggest
from forecasting.config.models import SegmentLstmConfig
from forecasting.config.training import TrainingConfig
from forecasting.config.tuning import RangeConfig
from forecasting.errors import ModelRefusedError
from tests.benchmarks.bench_file import write_bench

N_STUDIES = 5
N_TRIALS: Mapping[Literal["tpe", "random"], int] = {"tpe": 35, "random": 50}
LOST = 10.0
"""Loss of a training that diverged: worse than any other."""

SPACE: Mapping[str, RangeConfig] = {
    "model.units": RangeConfig(low=8, high=64, log=True),
    "model.dropout": RangeConfig(low=0.0, high=0.5),
    "model.segment_dropout": RangeConfig(low=0.0, high=0.5),
    "training.learning_rate": RangeConfig(low=1e-4, high=3e-2, log=True),
    "training.batch_size": RangeConfig(choices=(16, 32, 64, 128)),
    "training.optimizer": RangeConfig(choices=("adam", "adamw", "rmsprop", "sgd")),
    "training.schedule": RangeConfig(choices=("cosine", "constant", "exponential", "one_cycle")),
    "training.l2": RangeConfig(choices=(0.0, 1e-6, 1e-5, 1e-4, 1e-3)),
}
_FIXED: Mapping[str, Any] = {
    "max_steps_per_epoch": 15, "max_epochs": 4, "patience": 100, "warmup_steps": 6, "ema": 0.8, "refit": False, "threads": 1,
}  # fmt: skip

Objective = Callable[[Mapping[str, Any]], float]


@dataclass
class TrialStore:
    """Losses by settings, one a line of a file, so that no training is done twice."""

    path: Path
    losses: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read what is kept."""
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        self.losses |= {row["settings"]: row["loss"] for row in map(json.loads, lines)}

    def kept(self, objective: Objective) -> Objective:
        """The objective, asked once for every combination of settings."""

        def loss(settings: Mapping[str, Any]) -> float:
            name = json.dumps(settings, sort_keys=True)
            if name not in self.losses:
                cpu = time.process_time()
                self.losses[name] = objective(settings)
                row = {"settings": name, "loss": self.losses[name], "cpu_s": round(time.process_time() - cpu, 2)}
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
            return self.losses[name]

        return loss


def run_study(sampler: Literal["tpe", "random"], seed: int, objective: Objective) -> list[float]:
    """Losses of the trials of a study, in the order of its trials."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    draw = (
        optuna.samplers.TPESampler(seed=seed, multivariate=True)
        if sampler == "tpe"
        else optuna.samplers.RandomSampler(seed=seed)
    )
    study = optuna.create_study(sampler=draw)
    whole = frozenset({"model.units"})
    study.optimize(lambda trial: objective(suggest(trial, SPACE, whole)), n_trials=N_TRIALS[sampler])
    return [float(trial.value) for trial in study.trials if trial.value is not None]


def n_to_reach(losses: Sequence[float], limit: float) -> int | None:
    """How many trials it took to a loss of at most the limit; none where it was not reached."""
    return next((number for number, loss in enumerate(losses, start=1) if loss <= limit), None)


def compare(studies: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, Any]:
    """Figures of the studies of both samplers: what each has reached, and how soon TPE was where random ends.

    A study that never comes there counts as infinitely many trials, so that the median tells of it.
    """
    best = {name: [min(losses) for losses in found] for name, found in studies.items()}
    limit = statistics.median(best["random"])
    counts = [n_to_reach(losses, limit) for losses in studies["tpe"]]
    middle = statistics.median(math.inf if count is None else count for count in counts)
    random_first = [min(losses[: N_TRIALS["tpe"]]) for losses in studies["random"]]
    return {
        "median_best_loss_tpe_35": statistics.median(best["tpe"]),
        "median_best_loss_random_50": limit,
        "median_best_loss_random_35": statistics.median(random_first),
        "best_losses_tpe": best["tpe"],
        "best_losses_random": best["random"],
        "trials_of_tpe_to_reach_random_50": counts,
        "median_trials_of_tpe_to_reach_random_50": None if math.isinf(middle) else middle,
    }


def training_objective() -> Objective:
    """Best validation loss of a short training on the demand of Victoria."""
    import keras

    from forecasting.feature_store import learning_windows, window_index
    from forecasting.neural.loop import TrainingLoop
    from forecasting.neural.models import NetworkSpec
    from forecasting.neural.strategy import make_strategy
    from tests.benchmarks.diagnose_runs import make_store

    store = make_store("victoria")
    train = learning_windows(store, with_validation=False)
    validation = window_index(store, store.split.validation_start, store.split.validation_end, min_age=24)

    def loss(settings: Mapping[str, Any]) -> float:
        # The graphs of the trials before would stay, tens of megabytes each.
        keras.backend.clear_session()
        model = SegmentLstmConfig(head_units=24, step_units=4, **_section(settings, "model"))
        training = TrainingConfig(**{**_FIXED, **_section(settings, "training")})
        loop = TrainingLoop(NetworkSpec(store.spec, model), training, make_strategy(training))
        with tempfile.TemporaryDirectory() as folder:
            try:
                fit = loop.fit(store, train, validation, checkpoint=Path(folder), key="tuning")
            except ModelRefusedError:
                return LOST
        return min(row.validation_loss for row in fit.history)

    return loss


def _section(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {path.partition(".")[2]: value for path, value in settings.items() if path.startswith(f"{name}.")}


def main() -> None:
    """Run what is not kept yet, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--studies", type=int, default=N_STUDIES, help="studies of each sampler")
    arguments = parser.parse_args()
    kept = TrialStore(arguments.out.with_name("tuning-trials.jsonl"))
    objective = kept.kept(training_objective())
    studies: dict[str, list[list[float]]] = {"tpe": [], "random": []}
    # One of each in turn, so that a run that is cut has both.
    for seed in range(1, arguments.studies + 1):
        for sampler in N_TRIALS:
            studies[sampler].append(run_study(sampler, seed, objective))
            print(f"{sampler} {seed}: {min(studies[sampler][-1]):.4f}", flush=True)
    write_bench(arguments.out, figures=compare(studies), peers={})


if __name__ == "__main__":
    main()
