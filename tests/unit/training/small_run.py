"""What the steps from train_model on read, made by the real steps before them from 700 hours of a small series."""

from dataclasses import dataclass
from pathlib import Path

from components.features.build_features import build_features
from components.training.train_model import train_model
from forecasting.cache import STEP_KINDS
from forecasting.config import AlmanacConfig, parse_config, step_settings
from forecasting.contracts.layout import home_layout
from forecasting.contracts.steps import PARENTS, StepName
from forecasting.manifests import write_manifest
from forecasting.schema import SeriesSpec, SeriesStore, SplitSpec
from forecasting.steps import StepContext, StepOutcome
from tests.unit.features.feature_specs import HOUR_S, START, gappy_series
from tests.unit.forecasting.series_stores import write_series_store

STEPS = {StepName.BUILD_FEATURES: build_features, StepName.TRAIN_MODEL: train_model}
SETTINGS = {
    "name": "load",
    "forecast": {"horizon": 24, "context": 48, "segment": 24, "seasons": [24]},
    "features": {"derived": [{"kind": "rolling", "column": "load", "windows": [24], "statistics": ["mean"]}]},
    "data": {"target": "load", "observed": ["wind"], "known": ["temperature"]},
    "model": {"units": 8, "head_units": 6, "step_units": 2},
    # Threads are TensorFlow's own choice here: another test of this process may have started it already.
    "training": {"batch_size": 32, "max_epochs": 2, "warmup_steps": 4, "learning_rate": 0.01, "threads": 0},
    "compression": {"max_accuracy_loss": 0.02},
    "gates": {
        "model": {"max_mae": 1, "max_rmse": 1, "max_naive_ratio": 1, "max_champion_ratio": 1},
        "compressed": {"max_mae": 1, "max_rmse": 1},
        "serving": {"max_latency_ms": 50, "max_difference_ratio": 0.001},
    },
}

LINEAR: dict[str, object] = {"kind": "linear", "head_units": 6, "step_units": 2}
"""A model with weights for each step of the context and each column."""


@dataclass(frozen=True)
class SmallRun:
    """Directories of a run's steps under `folder`."""

    folder: Path

    @property
    def context(self) -> StepContext:
        home = home_layout(self.folder)
        return StepContext(home, home.run("small"))

    def directory(self, step: StepName) -> Path:
        return self.context.run.step(step)

    def inputs(self, step: StepName) -> dict[StepName, Path]:
        return {parent: self.directory(parent) for parent in PARENTS[step]}

    def perform(self, step: StepName, **sections: dict[str, object]) -> StepOutcome:
        """Run a step and write its manifest."""
        return self.perform_with(small_config(**sections), step)

    def perform_with(self, config: AlmanacConfig, step: StepName) -> StepOutcome:
        """Run a step of another configuration and write its manifest."""
        output = self.directory(step)
        output.mkdir(parents=True)
        outcome = STEPS[step](step_settings(config, step), self.inputs(step), output, self.context)
        write_manifest(output, STEP_KINDS[step], parents={})
        return outcome


def small_config(**sections: dict[str, object]) -> AlmanacConfig:
    """The settings, with some keys of some sections changed."""
    changed = {name: {**SETTINGS.get(name, {}), **values} for name, values in sections.items()}  # type: ignore[dict-item]
    return parse_config({**SETTINGS, **changed}, source="small")


def ensemble_config(**sections: dict[str, object]) -> AlmanacConfig:
    """As `small_config`, of an ensemble of two models, not calibrated."""
    members = [LINEAR, {"kind": "segment_gru", "units": 6, "head_units": 6, "step_units": 2, "dropout": 0.1}]
    return config_of({"kind": "ensemble", "members": members, "calibrate": False}, **sections)


def config_of(model: dict[str, object], **sections: dict[str, object]) -> AlmanacConfig:
    """As `small_config`, with another model in the place of its own."""
    return parse_config({**small_config(**sections).model_dump(), "model": model}, source=str(model["kind"]))


def make_small_run(folder: Path, *, n_train: int = 500) -> SmallRun:
    """A run with validate_data and build_features done; validation is 100 hours, test what remains of 700."""
    run = SmallRun(folder)
    split = SplitSpec(START + n_train * HOUR_S, START + (n_train + 100) * HOUR_S, START + 700 * HOUR_S)
    spec = SeriesSpec("load", ("wind",), ("temperature",), (), {}, HOUR_S, split)
    series = run.directory(StepName.VALIDATE_DATA)
    series.mkdir(parents=True)
    write_series_store(SeriesStore(spec, (gappy_series(700),)), series)
    write_manifest(series, STEP_KINDS[StepName.VALIDATE_DATA], parents={})
    run.perform(StepName.BUILD_FEATURES)
    return run
