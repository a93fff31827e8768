"""The networks that variants are made from: the trained one, and what each pruning makes of it, kept for a run that goes on."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from forecasting.config.models import KindConfig
from forecasting.config.root import CompressModelSettings
from forecasting.contracts.artifacts import MODEL_SPEC_FILE, REPORT_FILE, WEIGHTS_FILE
from forecasting.errors import ArtifactError
from forecasting.feature_store import FeatureStore, learning_windows, window_index
from forecasting.manifests import sync_directory
from forecasting.variants import Pruning

if TYPE_CHECKING:
    from forecasting.neural.export import ForecastModule
    from forecasting.neural.loop import TrainingLoop

Weights = list[npt.NDArray[np.float32]]

_STRUCTURED_SHARE = 0.35
"""Of the time for the tournament, what may be over when a further round of structured pruning begins to end."""
_COMPILE_S = 12.0
"""What the first fine-tuning of a network takes besides its steps, about."""


@dataclass(frozen=True)
class PrunedNetwork:
    """A network. model: its settings. sparsity: share of zero weights among the kernels. n_parameters: all weights."""

    module: "ForecastModule"
    model: KindConfig
    sparsity: float
    n_parameters: int


class NetworkShelf:
    """Makes each network when it is first asked for; weights that are done lie in a folder that outlives the process."""

    def __init__(self, settings: CompressModelSettings, store: FeatureStore, model: Path, kept: Path) -> None:
        """Open the trained network.

        Args:
            settings: Of the step.
            store: Feature store, to fine-tune on.
            model: Output of train_model.
            kept: Existing folder for weights.
        """
        from forecasting.neural.export import CalibrationSpec

        self._settings, self._store, self._model, self._kept = settings, store, model, kept
        report = json.loads((model / REPORT_FILE).read_text(encoding="utf-8"))
        self._training = settings.training.model_copy(update={"batch_size": report["batch_size"]})
        self._step_s = _seconds_per_step(report)
        calibration = json.loads((model / MODEL_SPEC_FILE).read_text(encoding="utf-8"))["calibration"]
        self._calibration = CalibrationSpec(tuple(calibration))
        self._found: dict[Pruning, PrunedNetwork] = {}
        self._refused: dict[Pruning, str] = {}

    def network(self, pruning: Pruning) -> PrunedNetwork:
        """The network of a pruning; one that could not be made is not tried again.

        Raises:
            ArtifactError: It cannot be made within the limits, or could not when it was asked for before.
        """
        if pruning in self._refused:
            raise ArtifactError(self._refused[pruning])
        if pruning not in self._found:
            try:
                self._found[pruning] = self._read(pruning) or self._make(pruning)
            except ArtifactError as error:
                self._refused[pruning] = str(error)
                raise
        return self._found[pruning]

    def aware(self, pruning: Pruning) -> PrunedNetwork:
        """The network of a pruning, fine-tuned with the rounding of INT8; what is zero in it stays zero."""
        from forecasting.neural.compression.aware import AwareConfig, aware_network
        from forecasting.neural.models import NetworkSpec

        source = self.network(pruning)
        network = aware_network(
            source.module.network,
            NetworkSpec(self._store.spec, source.model),
            self._training,
            store=self._store,
            train=learning_windows(self._store, with_validation=self._settings.training.refit),
            settings=AwareConfig(n_steps=self._settings.compression.finetune_steps),
        )
        return self._wrap(network, source.model, source.sparsity)

    def estimate_aware_s(self) -> float:
        """Seconds that `aware` may take."""
        return _COMPILE_S + self._settings.compression.finetune_steps * self._step_s

    def is_made(self, pruning: Pruning) -> bool:
        """Whether asking for it costs nothing much."""
        known = pruning in self._found or pruning in self._refused
        return known or pruning is Pruning.NONE or self._path(pruning).exists()

    def estimate_s(self, pruning: Pruning) -> float:
        """Seconds that making it may take, before any was made; of structured pruning its first round."""
        if self.is_made(pruning):
            return 0.0
        settings = self._settings.compression
        first = self.estimate_s(Pruning.STRUCTURED) if pruning is Pruning.STRUCTURED_MAGNITUDE_50 else 0.0
        n_steps = settings.structured_steps if pruning is Pruning.STRUCTURED else settings.finetune_steps
        return first + _COMPILE_S + n_steps * self._step_s

    def _make(self, pruning: Pruning) -> PrunedNetwork:
        if pruning is Pruning.STRUCTURED:
            return self._narrow()
        source = self.network(Pruning.STRUCTURED) if pruning.is_structured else None
        model = self._settings.model if source is None else source.model
        loop = self._loop(model)
        if source is None:
            loop.network.load_weights(self._model / WEIGHTS_FILE)
        else:
            loop.network.set_weights(source.module.network.get_weights())
        sparsity = self._prune(loop, pruning.sparsity) if pruning.sparsity else 0.0
        if pruning is not Pruning.NONE:
            self._write(pruning, loop.network.get_weights(), model, sparsity)
        return self._wrap(loop.network, model, sparsity)

    def _narrow(self) -> PrunedNetwork:
        from forecasting.neural.compression.structured import NarrowingConfig, narrow_network
        from forecasting.neural.models import NetworkSpec

        settings, split = self._settings.compression, self._store.split
        found = narrow_network(
            self.network(Pruning.NONE).module.network,
            NetworkSpec(self._store.spec, self._settings.model),
            self._training,
            store=self._store,
            train=learning_windows(self._store, with_validation=self._settings.training.refit),
            validation=window_index(
                self._store, split.validation_start, split.validation_end, min_age=self._store.spec.segment
            ),
            settings=NarrowingConfig(
                max_loss_ratio=settings.max_accuracy_loss,
                max_rounds=settings.structured_rounds,
                n_steps=settings.structured_steps,
                time_budget_s=_STRUCTURED_SHARE * settings.budget_s,
            ),
        )
        model = found.spec.model
        if model == self._settings.model:
            least = min((round_.loss_ratio for round_ in found.rounds), default=float("nan"))
            raise ArtifactError(
                f"no units could be taken out within compression.max_accuracy_loss; the first round lost {least:.2%}"
            )
        self._write(Pruning.STRUCTURED, found.network.get_weights(), model, 0.0)
        return self._wrap(found.network, model, 0.0)

    def _prune(self, loop: "TrainingLoop", sparsity: float) -> float:
        from forecasting.neural.compression.magnitude import prune_network

        train = learning_windows(self._store, with_validation=self._settings.training.refit)
        n_steps = self._settings.compression.finetune_steps
        report = prune_network(loop, self._store, train, sparsity=sparsity, n_steps=n_steps)
        return round(report.sparsity, 4)

    def _loop(self, model: KindConfig) -> "TrainingLoop":
        from forecasting.neural.loop import TrainingLoop
        from forecasting.neural.models import NetworkSpec
        from forecasting.neural.strategy import tf

        return TrainingLoop(NetworkSpec(self._store.spec, model), self._training, tf.distribute.get_strategy())

    def _wrap(self, network: Any, model: KindConfig, sparsity: float) -> PrunedNetwork:
        from forecasting.neural.export import ForecastModule

        n_parameters = sum(int(np.prod(weight.shape)) for weight in network.weights)
        module = ForecastModule(network, self._store.spec, self._calibration)
        return PrunedNetwork(module, model, sparsity, n_parameters)

    def _path(self, pruning: Pruning) -> Path:
        return self._kept / f"{pruning.value}.npz"

    def _read(self, pruning: Pruning) -> PrunedNetwork | None:
        if pruning is Pruning.NONE or not self._path(pruning).exists():
            return None
        from forecasting.neural.models import NetworkSpec, build_network

        with np.load(self._path(pruning)) as stored:
            about = json.loads(str(stored["about"]))
            weights = [stored[f"weight_{number}"] for number in range(about["n_weights"])]
        model = type(self._settings.model).model_validate(about["model"])
        network = build_network(NetworkSpec(self._store.spec, model))
        network.set_weights(weights)
        return self._wrap(network, model, about["sparsity"])

    def _write(self, pruning: Pruning, weights: Weights, model: KindConfig, sparsity: float) -> None:
        about = {"n_weights": len(weights), "model": model.model_dump(mode="json"), "sparsity": sparsity}
        arrays = {f"weight_{number}": weight for number, weight in enumerate(weights)}
        partial = self._path(pruning).with_suffix(".partial")
        with partial.open("wb") as stream:
            np.savez(stream, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]
            stream.flush()
            os.fsync(stream.fileno())
        partial.rename(self._path(pruning))
        sync_directory(self._kept)


def _seconds_per_step(report: dict[str, Any]) -> float:
    """CPU seconds of a training step, from the report of the training; 0 where it does not say."""
    n_steps = report.get("n_epochs", 0) * report.get("n_train_windows", 0) / max(1, report.get("batch_size", 1))
    return float(report.get("cpu_s", 0.0) / n_steps) if n_steps else 0.0
