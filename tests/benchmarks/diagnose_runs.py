"""Small real trainings, each made to show one pattern of learning curves.

Three tables (demand of Victoria, oil temperature of a transformer, twelve hourly series of the M4 competition) and two
kinds of model (over segments, over steps) are trained by the one loop with settings, weights or windows that bring the
pattern about. Eight runs a pattern: the first four may be looked at when rules are set, the other four not.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.features.build_features import make_feature_spec, plane_index
from components.features.planes import plane_pieces
from forecasting.config.features import FeaturesConfig, FourierConfig
from forecasting.config.models import GruConfig, ModelConfig, SegmentLstmConfig
from forecasting.config.root import BuildFeaturesSettings
from forecasting.config.sections import ForecastConfig
from forecasting.config.training import TrainingConfig
from forecasting.errors import ModelRefusedError
from forecasting.feature_store import FeatureStore, WindowIndex, learning_windows, window_index
from forecasting.features.spec import ScalerSpec
from forecasting.learning_patterns import LearningPattern
from forecasting.schema import Series, SeriesSpec, SeriesStore, SplitSpec

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
HOUR_S = 3_600
CONTEXT, HORIZON = 48, 24
TABLES = ("victoria", "oil", "m4")
KINDS = ("segment_lstm", "gru")
N_DESIGN, N_FIRST = 4, 8
FRESH_TABLE = "load"


@dataclass(frozen=True)
class CaseSpec:
    """One run. number: 1 to 8, or from 9 on those of `fresh_cases`; runs after the fourth were not looked at when rules were set."""

    pattern: LearningPattern
    number: int
    table: str
    kind: str

    @property
    def name(self) -> str:
        """Such as `over-fitting 3`."""
        return f"{self.pattern} {self.number}"

    @property
    def unseen(self) -> bool:
        """Whether it was kept back."""
        return self.number > N_DESIGN


@dataclass(frozen=True)
class RecipeSpec:
    """How a pattern is brought about.

    n_train, n_validation: windows, evenly thinned; none: all. overlap: validation windows are training windows.
    planted: factors on the first kernels of layers by a part of their name; the head, which begins at zero, then begins at
    random. easy: the validation period repeats one day. outlier: one hour of the train cut lies so many standard deviations
    above the rest.
    """

    training: Mapping[str, Any]
    model: Mapping[str, Any]
    n_train: int | None = None
    n_validation: int | None = None
    overlap: bool = False
    easy: bool = False
    outlier: float = 0.0
    planted: Mapping[str, float] = field(default_factory=dict)


def fresh_cases() -> tuple[CaseSpec, ...]:
    """Forty runs more, of a table and of seeds that no rule has seen: four a pattern, two of each kind of model."""
    return tuple(
        CaseSpec(pattern, N_FIRST + number, FRESH_TABLE, KINDS[number % 2])
        for pattern in LearningPattern
        for number in range(1, N_DESIGN + 1)
        if pattern is not LearningPattern.TOO_SHORT
    )


def cases() -> tuple[CaseSpec, ...]:
    """The first eighty: all tables with all kinds, and two of them again with another seed."""
    pairs = [(table, kind) for kind in KINDS for table in TABLES]
    order = [0, 4, 2, 3, 1, 5, 0, 4]
    return tuple(
        CaseSpec(pattern, number, *pairs[place])
        for pattern in LearningPattern
        for number, place in enumerate(order, start=1)
        if pattern is not LearningPattern.TOO_SHORT
    )


_BASE: dict[str, Any] = {
    "batch_size": 64, "max_steps_per_epoch": 20, "max_epochs": 14, "patience": 100, "warmup_steps": 10, "ema": 0.9,
    "refit": False, "threads": 1,
}  # fmt: skip
_BARE: dict[str, Any] = {"dropout": 0.0, "head_units": 32}


def strength(case: CaseSpec) -> float:
    """How strongly a run shows its pattern: it changes with its number, so that unseen runs are no copies."""
    return 1.0 + 0.25 * ((case.number - 1) % N_FIRST) + (0.125 if case.number > N_FIRST else 0.0)


def recipe(case: CaseSpec) -> RecipeSpec:
    """How a run is made."""
    return _RECIPES[case.pattern](case)


def _good_fit(case: CaseSpec) -> RecipeSpec:
    return RecipeSpec(
        {"learning_rate": 4e-3 / strength(case) ** 0.5, "max_epochs": 16, "patience": 6}, {"dropout": 0.1}
    )


def _overfitting(case: CaseSpec) -> RecipeSpec:
    units = (64,) if case.kind == "gru" else 64
    return RecipeSpec(
        {"learning_rate": 6e-3 * strength(case), "schedule": "constant", "weight_decay": 0.0, "max_epochs": 28, "batch_size": 16},
        {**_BARE, "head_units": 96, "units": units}, n_train=int(120 * strength(case)),
    )  # fmt: skip


def _underfitting(case: CaseSpec) -> RecipeSpec:
    change = [{"learning_rate": 2e-6}, {"l2": 0.03}][case.number % 2]
    return RecipeSpec({"learning_rate": 2e-3, "max_epochs": 10, **change}, {**_BARE, "head_units": 2, "step_units": 1})


def _high_variance(case: CaseSpec) -> RecipeSpec:
    return RecipeSpec(
        {"learning_rate": 3e-2 * strength(case), "schedule": "constant", "ema": 0.0, "weight_decay": 0.0, "batch_size": 16,
         "max_epochs": 18}, _BARE, n_train=48, n_validation=4,
    )  # fmt: skip


def _unstable(case: CaseSpec) -> RecipeSpec:
    outlier = 40.0 * strength(case) if case.number % 2 else 0.0
    few = {"batch_size": 8, "max_steps_per_epoch": 6}
    change = few if outlier else {"optimizer": "adam", "learning_rate": 0.4 * strength(case)}
    return RecipeSpec(
        {"learning_rate": 1e-2, "schedule": "constant", "ema": 0.0, "clip": "none", "batch_size": 16, "warmup_steps": 0,
         "explode_factor": 1e9, **change}, _BARE, outlier=outlier,
    )  # fmt: skip


def _diverged(case: CaseSpec) -> RecipeSpec:
    return RecipeSpec(
        {"optimizer": "sgd", "learning_rate": 30.0 * strength(case)**4, "clip": "none", "schedule": "constant", "ema": 0.0,
         "warmup_steps": 120, "retry_rate": 0.9}, _BARE,
    )  # fmt: skip


def _leak(case: CaseSpec) -> RecipeSpec:
    easy = case.number % 2 == 0
    return RecipeSpec(
        {"learning_rate": 4e-3 * strength(case), "schedule": "constant", "max_epochs": 16, "batch_size": 32,
         "augmentation": {"noise": 0.0 if easy else 1.5}},
        {"dropout": 0.2 if easy else 0.5, "head_units": 64}, n_train=None if easy else 128, overlap=not easy,
        easy=easy,
    )  # fmt: skip


def _stopped_early(case: CaseSpec) -> RecipeSpec:
    return RecipeSpec(
        {"learning_rate": 8e-4 * strength(case), "schedule": "constant", "max_epochs": 6}, {"dropout": 0.1}
    )


def _vanishing(case: CaseSpec) -> RecipeSpec:
    layer = "forward_1" if case.kind == "gru" else "encoder_0"
    return RecipeSpec(
        {"optimizer": "sgd", "momentum": 0.0, "learning_rate": 0.01 * strength(case), "max_epochs": 8}, {"dropout": 0.0},
        planted={layer: 10.0 ** (-3.5 - strength(case))},
    )  # fmt: skip


def _exploding(case: CaseSpec) -> RecipeSpec:
    return RecipeSpec({"learning_rate": 1e-3, "max_epochs": 8}, {"dropout": 0.0}, planted={"": 7.0 * strength(case)})


_RECIPES: Mapping[LearningPattern, Callable[[CaseSpec], RecipeSpec]] = {
    LearningPattern.GOOD_FIT: _good_fit,
    LearningPattern.OVERFITTING: _overfitting,
    LearningPattern.UNDERFITTING: _underfitting,
    LearningPattern.HIGH_VARIANCE: _high_variance,
    LearningPattern.UNSTABLE: _unstable,
    LearningPattern.DIVERGED: _diverged,
    LearningPattern.LEAK: _leak,
    LearningPattern.STOPPED_EARLY: _stopped_early,
    LearningPattern.VANISHING: _vanishing,
    LearningPattern.EXPLODING: _exploding,
}


@cache
def make_store(table: str) -> FeatureStore:
    """Features of a table, made as build_features makes them."""
    series, observed, known = _series(table)
    n_steps = max(len(one.values) for one in series)
    split = SplitSpec(*(series[0].start + int(share * n_steps) * HOUR_S for share in (0.7, 0.85, 1.0)))
    spec = SeriesSpec("y", observed, known, (), {}, HOUR_S, split)
    store = SeriesStore(spec, tuple(series))
    features = FeaturesConfig(
        calendar=("hour_of_day", "day_of_week"), fourier=(FourierConfig(period="24h", order=2),), derived=()
    )
    forecast = ForecastConfig(horizon=HORIZON, context=CONTEXT, segment=24, seasons=(24,))
    settings = BuildFeaturesSettings(name="diagnose", forecast=forecast, features=features)
    columns = ("y", *observed, *known)
    values = np.concatenate([one.values[: int(0.7 * len(one.values))] for one in series])
    found = make_feature_spec(settings, spec, store.index, ScalerSpec(
        dict(zip(columns, np.nanmean(values, axis=0).tolist(), strict=True)),
        dict(zip(columns, np.nanstd(values, axis=0).tolist(), strict=True)),
    ))  # fmt: skip
    planes = np.concatenate([_planes(one, found) for one in store])
    return FeatureStore(found, split, plane_index(store.index, CONTEXT), planes)


def _planes(series: Series, spec: Any) -> npt.NDArray[np.float32]:
    lead = np.full((spec.context, series.values.shape[1]), np.nan)
    start = series.start - spec.context * spec.step_s
    return np.concatenate(list(plane_pieces(np.concatenate([lead, series.values]), series.id, start, spec, n_before=0)))


def _series(table: str) -> tuple[list[Series], tuple[str, ...], tuple[str, ...]]:
    """Series with their target first, and the names of observed and known columns."""
    if table == "victoria":
        frame = pd.read_csv(SHARED / "vic_electricity.csv", usecols=["Demand", "Temperature"]).iloc[::2][:2_400]
        return [Series("victoria", _monday(0), frame.to_numpy(float))], (), ("temperature",)
    if table == "oil":
        frame = pd.read_csv(SHARED / "ETTh1.csv", usecols=["OT", "HUFL"])[["OT", "HUFL"]][2_000:4_400]
        return [Series("oil", _monday(0), frame.to_numpy(float))], ("load",), ()
    if table == FRESH_TABLE:
        frame = pd.read_csv(SHARED / "ETTh1.csv", usecols=["MULL", "OT"])[["MULL", "OT"]][9_000:11_400]
        return [Series("load", _monday(0), frame.to_numpy(float))], ("temperature",), ()
    frame = pd.read_parquet(SHARED / "m4_hourly.parquet")
    name, value = "series_id", "value"
    found = []
    for key, rows in list(frame.groupby(name, sort=True))[:12]:
        values = rows[value].to_numpy(float)[:700]
        # Series of unlike sizes in one unit: what scaling by series does in a run.
        found.append(Series(str(key), _monday(0), (values / values[:480].mean())[:, None]))
    return found, (), ()


def _monday(week: int) -> int:
    return 1_577_664_000 + 7 * 86_400 * week


def _windows(store: FeatureStore, made: RecipeSpec) -> tuple[WindowIndex, WindowIndex]:
    train = learning_windows(store, with_validation=False)
    validation = window_index(store, store.split.validation_start, store.split.validation_end, min_age=24)
    train = _thinned(train, made.n_train)
    return train, train if made.overlap else _thinned(validation, made.n_validation)


def _thinned(windows: WindowIndex, n: int | None) -> WindowIndex:
    if n is None or n >= len(windows):
        return windows
    chosen = np.linspace(0, len(windows) - 1, n).astype(int)
    return replace(
        windows, **{name: np.asarray(values)[chosen] for name, values in vars(windows).items() if np.ndim(values)}
    )


def _repeat_a_day(store: FeatureStore) -> FeatureStore:
    """The target of the validation period filled with the day before it, as a careless imputation does."""
    planes = store.planes.copy()
    index = store.index
    for i in range(len(index)):
        row = int(index.offset[i])
        first = row + (store.split.train_end - int(index.start[i])) // HOUR_S
        last = row + int(index.n_steps[i])
        planes[first:last, 0] = np.resize(planes[first - 24 : first, 0].copy(), last - first)
    return replace(store, planes=planes)


def _put_outlier(store: FeatureStore, size: float) -> FeatureStore:
    """One reading of the train cut far off, as of a broken meter."""
    planes = store.planes.copy()
    planes[int(store.index.offset[0]) + 240, 0] += size
    return replace(store, planes=planes)


def run_case(case: CaseSpec) -> dict[str, Any]:
    """Train, and give what `history.json` and the record of divergences would hold."""
    from forecasting.neural.checkpoint import read_unfinished
    from forecasting.neural.loop import TrainingLoop
    from forecasting.neural.models import NetworkSpec
    from forecasting.neural.strategy import make_strategy

    made = recipe(case)
    training = TrainingConfig(**{**_BASE, **made.training, "seed": case.number})
    store = make_store(case.table)
    if made.easy:
        store = _repeat_a_day(store)
    if made.outlier:
        store = _put_outlier(store, made.outlier)
    train, validation = _windows(store, made)
    loop = TrainingLoop(NetworkSpec(store.spec, _model(case.kind, made.model)), training, make_strategy(training))
    _plant(loop.network, made.planted, seed=case.number)
    with tempfile.TemporaryDirectory() as folder:
        try:
            fit = loop.fit(store, train, validation, checkpoint=Path(folder), key="diagnose")
            history, n_divergences, lost = fit.history, len(fit.divergences), False
        except ModelRefusedError:
            found = read_unfinished(Path(folder))
            history, n_divergences, lost = found.history if found else (), len(found.divergences) if found else 0, True
    return {**asdict(case), "history": [asdict(row) for row in history], "n_divergences": n_divergences, "lost": lost}


def _plant(network: Any, factors: Mapping[str, float], *, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for weight in network.trainable_variables if factors else ():
        if weight.path.endswith("bias"):
            continue
        if "quantile_head" in weight.path and not np.any(weight.numpy()):
            weight.assign(rng.normal(0.0, 0.3, weight.shape))
        for name, factor in factors.items():
            if name in weight.path:
                weight.assign(weight * factor)


def _model(kind: str, changed: Mapping[str, Any]) -> ModelConfig:
    if kind == "gru":
        return GruConfig(**{"units": (24, 24), "head_units": 24, "step_units": 4, **changed})
    return SegmentLstmConfig(
        **{"units": 24, "head_units": 24, "step_units": 4, "segment_dropout": changed.get("dropout", 0.1), **changed}
    )
