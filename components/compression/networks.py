"""The networks that variants are made from: the trained one, and what each pruning makes of it, kept for a run that goes on."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.compression.budget import BudgetClock, TuningPace, seconds_per_step
from components.compression.kept_weights import KeptNetwork, read_kept, write_kept
from forecasting.config.models import KindConfig
from forecasting.config.root import CompressModelSettings
from forecasting.contracts.artifacts import MODEL_SPEC_FILE, REPORT_FILE, WEIGHTS_FILE
from forecasting.errors import ArtifactError
from forecasting.feature_store import FeatureStore, learning_windows
from forecasting.variants import Pruning

if TYPE_CHECKING:
    from forecasting.neural.compression.structured import NarrowNetwork
    from forecasting.neural.export import ForecastModule
    from forecasting.neural.models import AnyForecaster

_STRUCTURED_SHARE = 0.35
"""Of the time for the tournament, what may be over when a further round of structured pruning begins to end."""
_AWARE = "aware"


@dataclass(frozen=True)
class PrunedNetwork:
    """A network.

    model: its settings. sparsity: share of zero weights among the kernels. n_parameters: all weights. note: see `VariantRecord`.
    """

    module: "ForecastModule"
    model: KindConfig
    sparsity: float
    n_parameters: int
    note: str = ""


class NetworkShelf:
    """Makes each network when it is first asked for; weights that are done lie in a folder that outlives the process."""

    def __init__(
        self, settings: CompressModelSettings, store: FeatureStore, model: Path, *, kept: Path, clock: BudgetClock
    ) -> None:
        """Open the trained network.

        Args:
            settings: Of the step.
            store: Feature store, to fine-tune on.
            model: Output of train_model.
            kept: Existing folder for weights.
            clock: Of the step.
        """
        from forecasting.neural.export import CalibrationSpec

        settings = _as_trained(settings, model)
        self._settings, self._store, self._model, self._kept = settings, store, model, kept
        self._clock = clock
        report = json.loads((model / REPORT_FILE).read_text(encoding="utf-8"))
        self._training = settings.training.model_copy(update={"batch_size": report["batch_size"]})
        step_s = seconds_per_step(report, max_steps_per_epoch=settings.training.max_steps_per_epoch)
        self._pace = TuningPace(clock, step_s=step_s, batch_size=self._training.windows_per_step)
        calibration = json.loads((model / MODEL_SPEC_FILE).read_text(encoding="utf-8"))["calibration"]
        self._calibration = CalibrationSpec(tuple(calibration))
        self._found: dict[str, PrunedNetwork] = {}
        self._refused: dict[Pruning, str] = {}

    def network(self, pruning: Pruning) -> PrunedNetwork:
        """The network of a pruning; one that could not be made is not tried again.

        Raises:
            ArtifactError: It cannot be made within the limits, or could not when it was asked for before.
        """
        if pruning in self._refused:
            raise ArtifactError(self._refused[pruning])
        if pruning.value not in self._found:
            try:
                self._found[pruning.value] = self._read(pruning.value) or self._make(pruning)
            except ArtifactError as error:
                self._refused[pruning] = str(error)
                raise
        return self._found[pruning.value]

    def aware(self, pruning: Pruning) -> PrunedNetwork:
        """The network of a pruning, fine-tuned with the rounding of INT8; what is zero in it stays zero.

        Raises:
            ArtifactError: There is no network of this pruning.
        """
        name = _aware_name(pruning)
        if name not in self._found:
            self._found[name] = self._read(name) or self._make_aware(pruning)
        return self._found[name]

    def estimate_aware_s(self, pruning: Pruning) -> float:
        """Seconds that `aware` may take, its pruning not counted."""
        if self._is_there(_aware_name(pruning)):
            return 0.0
        return self._pace.estimate_s(self._settings.compression.finetune_steps, n_windows=self._n_windows())

    def is_made(self, pruning: Pruning) -> bool:
        """Whether asking for it costs nothing much."""
        return pruning in self._refused or pruning is Pruning.NONE or self._is_there(pruning.value)

    def estimate_s(self, pruning: Pruning) -> float:
        """Seconds that making it may take, before any was made; of structured pruning its first round."""
        if self.is_made(pruning):
            return 0.0
        settings = self._settings.compression
        if pruning is Pruning.STRUCTURED:
            return self._pace.estimate_s(settings.structured_steps, n_windows=self._n_windows())
        first = self.estimate_s(Pruning.STRUCTURED) if pruning.is_structured else 0.0
        return first + self._pace.estimate_s(settings.finetune_steps)

    def _make(self, pruning: Pruning) -> PrunedNetwork:
        from forecasting.neural.models import NetworkSpec, build_network

        if pruning is Pruning.STRUCTURED:
            return self._narrow()
        source = self.network(Pruning.STRUCTURED) if pruning.is_structured else None
        model = self._settings.model if source is None else source.model
        network = build_network(NetworkSpec(self._store.spec, model))
        if source is None:
            network.load_weights(self._model / WEIGHTS_FILE)
        else:
            network.set_weights(source.module.network.get_weights())
        if pruning is Pruning.NONE:
            return self._wrap(network, model, 0.0)
        sparsity = self._prune(network, pruning)
        return self._keep(pruning.value, network, model, sparsity, note=source.note if source else "")

    def _make_aware(self, pruning: Pruning) -> PrunedNetwork:
        from forecasting.neural.compression.aware import AwareConfig, aware_network
        from forecasting.neural.models import NetworkSpec

        source, n_steps = self.network(pruning), self._settings.compression.finetune_steps
        network = aware_network(
            source.module.network,
            NetworkSpec(self._store.spec, source.model),
            self._training,
            store=self._store,
            train=learning_windows(self._store, with_validation=self._settings.training.refit),
            settings=AwareConfig(n_steps=n_steps),
            progress=self._pace.watch("fine-tuning for INT8", n_steps),
        )
        return self._keep(_aware_name(pruning), network, source.model, source.sparsity, note=source.note)

    def _narrow(self) -> PrunedNetwork:
        from forecasting.neural.compression.structured import NarrowingConfig, narrow_network, narrowing_windows
        from forecasting.neural.models import NetworkSpec

        settings = self._settings.compression
        found = narrow_network(
            self.network(Pruning.NONE).module.network,
            NetworkSpec(self._store.spec, self._settings.model),
            self._training,
            store=self._store,
            windows=narrowing_windows(self._store, refit=self._settings.training.refit),
            settings=NarrowingConfig(
                max_loss_ratio=settings.max_accuracy_loss,
                max_rounds=settings.structured_rounds,
                n_steps=settings.structured_steps,
                time_budget_s=min(_STRUCTURED_SHARE * self._clock.budget_s, self._clock.left_s()),
            ),
            progress=self._pace.watch("structured pruning", settings.structured_steps),
        )
        if found.spec.model == self._settings.model:
            raise ArtifactError(_nothing_taken(found))
        note = (
            f"{len(found.rounds)} rounds of structured pruning, for more there was no time" if found.out_of_time else ""
        )
        return self._keep(Pruning.STRUCTURED.value, found.network, found.spec.model, 0.0, note=note)

    def _prune(self, network: "AnyForecaster", pruning: Pruning) -> float:
        from forecasting.neural.compression.fine_tuning import drawn_windows
        from forecasting.neural.compression.magnitude import prune_network

        train = learning_windows(self._store, with_validation=self._settings.training.refit)
        n_steps = self._settings.compression.finetune_steps
        drawn = drawn_windows(self._store, train, self._training, n_steps=n_steps)
        progress = self._pace.watch(pruning.value, n_steps)
        report = prune_network(network, drawn, self._training, sparsity=pruning.sparsity, progress=progress)
        return round(report.sparsity, 4)

    def _wrap(self, network: Any, model: KindConfig, sparsity: float, *, note: str = "") -> PrunedNetwork:
        from forecasting.neural.export import ForecastModule

        n_parameters = sum(int(np.prod(weight.shape)) for weight in network.weights)
        module = ForecastModule(network, self._store.spec, self._calibration)
        return PrunedNetwork(module, model, sparsity, n_parameters, note)

    def _keep(self, name: str, network: Any, model: KindConfig, sparsity: float, *, note: str) -> PrunedNetwork:
        """The network, its weights where a run that goes on finds them."""
        write_kept(self._path(name), KeptNetwork(network.get_weights(), model.model_dump(mode="json"), sparsity, note))
        return self._wrap(network, model, sparsity, note=note)

    def _read(self, name: str) -> PrunedNetwork | None:
        kept = read_kept(self._path(name)) if name else None
        if kept is None:
            return None
        from forecasting.neural.models import NetworkSpec, build_network

        model = type(self._settings.model).model_validate(kept.model)
        network = build_network(NetworkSpec(self._store.spec, model))
        network.set_weights(kept.weights)
        return self._wrap(network, model, kept.sparsity, note=kept.note)

    def _is_there(self, name: str) -> bool:
        return name in self._found or self._path(name).exists()

    def _path(self, name: str) -> Path:
        return self._kept / f"{name}.npz"

    def _n_windows(self) -> int:
        return len(learning_windows(self._store, with_validation=self._settings.training.refit))


def _aware_name(pruning: Pruning) -> str:
    return "_".join(part for part in (pruning.value, _AWARE) if part)


def _nothing_taken(found: "NarrowNetwork") -> str:
    if not found.rounds:
        return "no units were taken out: there was no time for a first round; raise compression.time_budget_s"
    least = min(record.loss_ratio for record in found.rounds)
    return f"no units could be taken out within compression.max_accuracy_loss; the first round lost {least:.2%}"


def _as_trained(settings: CompressModelSettings, model: Path) -> CompressModelSettings:
    """The settings with those of model and training that remedies may have changed as they were kept."""
    spec = json.loads((model / MODEL_SPEC_FILE).read_text(encoding="utf-8"))
    trained = {name: type(getattr(settings, name)).model_validate(spec[name]) for name in ("model", "training")}
    return settings.model_copy(update=trained)
