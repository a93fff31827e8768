"""The networks that variants are made from: the trained one, and what each pruning makes of it, kept for a run that goes on."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from components.compression.budget import BudgetClock, TuningPace, seconds_per_step
from components.compression.narrowing_notes import narrowing_note, nothing_taken
from forecasting.config.models import KindConfig
from forecasting.config.root import CompressModelSettings
from forecasting.contracts.artifacts import FIRST_FIT_WEIGHTS_FILE, MODEL_SPEC_FILE, REPORT_FILE, WEIGHTS_FILE
from forecasting.errors import ArtifactError
from forecasting.feature_store import FeatureStore, WindowIndex, learning_windows, validation_windows
from forecasting.features.spec import FeatureSpec
from forecasting.features.transform import reduced_spec, removable_columns
from forecasting.neural.compression.kept_weights import KeptWeights, read_about, read_kept, write_kept
from forecasting.variants import Pruning

if TYPE_CHECKING:
    from forecasting.neural.compression.inputs import InputsRecord
    from forecasting.neural.compression.structured import NarrowingRounds
    from forecasting.neural.export import ForecastModule
    from forecasting.neural.models import AnyForecaster, NetworkSpec

_STRUCTURED_SHARE = 0.5
"""Of the time for the tournament, what structured pruning may take; no round begins that would probably end later."""
_IDLE_SHARE = 0.05
"""Of `compression.max_accuracy_loss`, what inputs may cost that are taken out before units are."""
_AWARE = "aware"
_INPUTS_FILE = "idle_inputs.json"
_COUNTED, _REPEATED = "held_round", "round"
"""Names of kept rounds: those that are counted, and those that are done again with the network of the refit."""


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

    @property
    def features(self) -> FeatureSpec:
        """What it reads: that of the feature store, or a reduced one."""
        return self.module.network.features


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
        settings = _as_trained(settings, model)
        self._settings, self._store, self._model, self._kept = settings, store, model, kept
        self._clock = clock
        report = json.loads((model / REPORT_FILE).read_text(encoding="utf-8"))
        self._training = settings.training.model_copy(update={"batch_size": report["batch_size"]})
        step_s = seconds_per_step(report, max_steps_per_epoch=settings.training.max_steps_per_epoch)
        self._pace = TuningPace(clock, step_s=step_s, batch_size=self._training.windows_per_step)
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
        return self._pace.estimate_s(self._settings.compression.finetune_steps, n_windows=len(self.learnt()))

    def is_made(self, pruning: Pruning) -> bool:
        """Whether asking for it costs nothing much."""
        return pruning in self._refused or pruning is Pruning.NONE or self._is_there(pruning.value)

    def estimate_s(self, pruning: Pruning) -> float:
        """Seconds that making it may take, before any was made; of structured pruning its first round."""
        if self.is_made(pruning):
            return 0.0
        if pruning is Pruning.STRUCTURED:
            return self._estimate_narrowing_s()
        first = self.estimate_s(Pruning.STRUCTURED) if pruning.is_structured else 0.0
        return first + self._pace.estimate_s(self._settings.compression.finetune_steps)

    def _estimate_narrowing_s(self) -> float:
        """Seconds of finding idle inputs and of the first round, without what is kept of an earlier run."""
        done = [seconds[0] for seconds in map(self._kept_rounds_s, self._passes) if seconds]
        guess = self._pace.estimate_s(self._settings.compression.structured_steps, n_windows=len(self.learnt()))
        return self._estimate_inputs_s() + (len(self._passes) - len(done)) * max(done, default=guess)

    def _estimate_inputs_s(self) -> float:
        from forecasting.neural.compression.fine_tuning import MAX_SCORED_WINDOWS
        from forecasting.neural.compression.inputs import n_evaluations

        if (self._kept / _INPUTS_FILE).exists():
            return 0.0
        n_windows = min(len(validation_windows(self._store)), MAX_SCORED_WINDOWS)
        shorten = self._settings.compression.shorten_context
        n_networks = n_evaluations(self._store.spec, shorten_context=shorten)
        return self._pace.estimate_scoring_s(n_networks, n_windows=n_windows)

    @property
    def _passes(self) -> tuple[str, ...]:
        """Names of what the rounds of structured pruning are done with: with `training.refit` two networks."""
        return (_COUNTED, _REPEATED) if self._settings.training.refit else (_COUNTED,)

    def _kept_rounds_s(self, name: str) -> list[float]:
        """Seconds of the finished rounds of a name, in an earlier run or in this one."""
        kept: list[float] = []
        while (path := self._path(f"{name}_{len(kept)}")).exists():
            kept.append(read_about(path)["duration_s"])
        return kept

    def learnt(self, *, held: bool = False) -> WindowIndex:
        """Windows that the network learnt from; held: those that it had learnt from before its refit.

        Whether there was a refit is what the training says: a search or a remedy may have changed it.
        """
        return learning_windows(self._store, with_validation=self._settings.training.refit and not held)

    def _make(self, pruning: Pruning) -> PrunedNetwork:
        from forecasting.neural.compression.magnitude import zero_share

        if pruning is Pruning.NONE:
            return self._trained()
        if pruning is Pruning.STRUCTURED:
            return self._narrow()
        source = self.network(Pruning.STRUCTURED if pruning.is_structured else Pruning.NONE)
        network = self._pruned(source, pruning)
        sparsity = round(zero_share(network), 4)
        return self._keep(pruning.value, network, source.model, sparsity=sparsity, note=source.note)

    def _trained(self) -> PrunedNetwork:
        """The network as it was trained, and its quantiles as they were calibrated then."""
        network = self._built(self._store.spec, self._settings.model)
        network.load_weights(self._model / WEIGHTS_FILE)
        spec = json.loads((self._model / MODEL_SPEC_FILE).read_text(encoding="utf-8"))
        return self._wrap(network, self._settings.model, factors=spec["calibration"], sparsity=0.0)

    def _make_aware(self, pruning: Pruning) -> PrunedNetwork:
        from forecasting.neural.compression.aware import AwareConfig, aware_network
        from forecasting.neural.models import NetworkSpec

        source, n_steps = self.network(pruning), self._settings.compression.finetune_steps
        network = aware_network(
            source.module.network,
            NetworkSpec(source.features, source.model),
            self._training,
            store=self._store,
            train=self.learnt(),
            settings=AwareConfig(n_steps=n_steps),
            progress=self._pace.watch("fine-tuning for INT8", n_steps),
        )
        return self._keep(_aware_name(pruning), network, source.model, sparsity=source.sparsity, note=source.note)

    def _narrow(self) -> PrunedNetwork:
        from forecasting.neural.compression.structured import narrow_network, repeat_rounds
        from forecasting.neural.models import NetworkSpec

        whole, judged = self.network(Pruning.NONE).module.network, self._judged()
        spec = NetworkSpec(self._store.spec, self._settings.model)
        idle = self._idle_inputs(judged, spec)
        reads = reduced_spec(self._store.spec, context=idle.context, dropped=idle.dropped)
        counted = self._rounds(judged, _COUNTED, held=judged is not whole)
        found = narrow_network(spec, reads, counted, validation_windows(self._store))
        if found.spec == spec:
            raise ArtifactError(nothing_taken(found))
        note, network = narrowing_note(found, idle, self._store.spec), found.network
        if judged is not whole:
            network = repeat_rounds(spec, reads, self._rounds(whole, _REPEATED, held=False), found.specs)
        return self._keep(Pruning.STRUCTURED.value, network, found.spec.model, sparsity=0.0, note=note)

    def _judged(self) -> "AnyForecaster":
        """The network before the refit, which has not learnt from the validation period; the network itself without one."""
        if not self._settings.training.refit:
            return self.network(Pruning.NONE).module.network
        network = self._built(self._store.spec, self._settings.model)
        network.load_weights(self._model / FIRST_FIT_WEIGHTS_FILE)
        return network

    def _idle_inputs(self, judged: "AnyForecaster", spec: "NetworkSpec") -> "InputsRecord":
        """Inputs that the network can do without, as an earlier run found them where one did."""
        from forecasting.neural.compression.inputs import idle_inputs, read_inputs, write_inputs

        path = self._kept / _INPUTS_FILE
        kept = read_inputs(path, self._store.spec)
        if kept is not None:
            return kept
        found = idle_inputs(
            judged,
            spec,
            self._store,
            learnt=self.learnt(held=True),
            validation=validation_windows(self._store),
            max_loss_ratio=_IDLE_SHARE * self._settings.compression.max_accuracy_loss,
            shorten_context=self._settings.compression.shorten_context,
        )
        write_inputs(path, found, self._store.spec)
        return found

    def _rounds(self, network: "AnyForecaster", name: str, *, held: bool) -> "NarrowingRounds":
        """Rounds of a network, kept under a name; held: of one that has not learnt from the validation period."""
        from forecasting.neural.compression.structured import KeptRounds, NarrowingConfig, NarrowingRounds

        settings = self._settings.compression
        # Rounds count their own seconds, those of an earlier run included, which are gone from what is left.
        left_s = self._clock.left_s() + sum(sum(self._kept_rounds_s(kept)) for kept in self._passes)
        time_s = min(_STRUCTURED_SHARE * self._clock.budget_s, left_s) / len(self._passes)
        what = "structured pruning without the validation period" if held else "structured pruning"
        return NarrowingRounds(
            network,
            self._training,
            store=self._store,
            windows=self.learnt(held=held),
            settings=NarrowingConfig(
                max_loss_ratio=settings.max_accuracy_loss,
                max_rounds=settings.structured_rounds,
                n_steps=settings.structured_steps,
                time_budget_s=time_s,
            ),
            progress=self._pace.watch(what, settings.structured_steps),
            kept=KeptRounds(self._kept, name),
        )

    def _pruned(self, source: PrunedNetwork, pruning: Pruning) -> "AnyForecaster":
        from forecasting.neural.compression.fine_tuning import drawn_windows
        from forecasting.neural.compression.magnitude import prune_network

        network = self._built(source.features, source.model)
        network.set_weights(source.module.network.get_weights())
        n_steps = self._settings.compression.finetune_steps
        drawn = drawn_windows(self._store, self.learnt(), self._training, n_steps=n_steps)
        progress = self._pace.watch(pruning.value, n_steps)
        prune_network(network, drawn, self._training, sparsity=pruning.sparsity, progress=progress)
        return network

    def _built(self, features: FeatureSpec, model: KindConfig) -> "AnyForecaster":
        from forecasting.neural.models import NetworkSpec, build_network

        return build_network(NetworkSpec(features, model))

    def _wrap(
        self,
        network: "AnyForecaster",
        model: KindConfig,
        *,
        factors: Sequence[float],
        sparsity: float,
        note: str = "",
    ) -> PrunedNetwork:
        from forecasting.neural.export import CalibrationSpec, ForecastModule

        n_parameters = sum(math.prod(weight.shape) for weight in network.weights)
        module = ForecastModule(network, self._store.spec, CalibrationSpec(tuple(factors)))
        return PrunedNetwork(module, model, sparsity, n_parameters, note)

    def _factors(self, network: "AnyForecaster") -> tuple[float, ...]:
        """Calibration of a changed network: that of the training, times what finding it again gives for it and for the unchanged one.

        Both are asked for the validation period, which both have learnt from or neither. The product has the bounds of each of them.
        """
        from forecasting.neural.calibration import LARGEST_FACTOR, SMALLEST_FACTOR

        trained = self.network(Pruning.NONE).module.calibration.factors
        pairs = zip(trained, self._found_again(network), self._factors_again, strict=True)
        products = (factor * changed / unchanged for factor, changed, unchanged in pairs)
        return tuple(min(max(product, SMALLEST_FACTOR), LARGEST_FACTOR) for product in products)

    @cached_property
    def _factors_again(self) -> tuple[float, ...]:
        return self._found_again(self.network(Pruning.NONE).module.network)

    def _found_again(self, network: "AnyForecaster") -> tuple[float, ...]:
        """Factors as the training finds them."""
        from forecasting.neural.calibration import calibration_factors
        from forecasting.neural.scaled import predict_scaled

        scored = predict_scaled(network, self._store, validation_windows(self._store), self._training.windows_per_step)
        calibrate = self._settings.model.calibrate
        return calibration_factors(scored, scored["quantiles"], self._store, calibrate=calibrate)

    def _keep(
        self, name: str, network: "AnyForecaster", model: KindConfig, *, sparsity: float, note: str
    ) -> PrunedNetwork:
        """The network, calibrated, its weights where a run that goes on finds them."""
        factors, reads = self._factors(network), network.features
        dropped = sorted(set(removable_columns(self._store.spec)) - set(removable_columns(reads)))
        about = {
            "model": model.model_dump(mode="json"), "factors": factors, "sparsity": sparsity, "note": note, "context": reads.context,
            "dropped": dropped,
        }  # fmt: skip
        write_kept(self._path(name), KeptWeights(network.get_weights(), about))
        return self._wrap(network, model, factors=factors, sparsity=sparsity, note=note)

    def _read(self, name: str) -> PrunedNetwork | None:
        kept = read_kept(self._path(name)) if name else None
        if kept is None:
            return None
        about = kept.about
        model = type(self._settings.model).model_validate(about["model"])
        reads = reduced_spec(self._store.spec, context=about["context"], dropped=about["dropped"])
        network = self._built(reads, model)
        network.set_weights(kept.weights)
        return self._wrap(network, model, factors=about["factors"], sparsity=about["sparsity"], note=about["note"])

    def _is_there(self, name: str) -> bool:
        return name in self._found or self._path(name).exists()

    def _path(self, name: str) -> Path:
        return self._kept / f"{name}.npz"


def _aware_name(pruning: Pruning) -> str:
    return "_".join(part for part in (pruning.value, _AWARE) if part)


def _as_trained(settings: CompressModelSettings, model: Path) -> CompressModelSettings:
    """The settings with those of model and training that a search or remedies may have changed as they were used."""
    spec = json.loads((model / MODEL_SPEC_FILE).read_text(encoding="utf-8"))
    trained = {name: type(getattr(settings, name)).model_validate(spec[name]) for name in ("model", "training")}
    return settings.model_copy(update=trained)
