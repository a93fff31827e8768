"""One variant after another while time lasts: made, converted, compared with its source; what is done outlives the process."""

import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from components.compression.budget import BudgetClock
from components.compression.measure import file_sizes
from components.compression.networks import NetworkShelf, PrunedNetwork
from components.compression.parity import ParitySpec, compare
from forecasting.contracts.artifacts import TFLITE_FILE, VARIANTS_DIR
from forecasting.errors import ArtifactError
from forecasting.feature_store import FeatureStore
from forecasting.manifests import write_text_atomically
from forecasting.predictors import LitePredictor
from forecasting.tournament import VariantRecord, VariantStatus, variant_document, variant_record
from forecasting.variants import Precision, Pruning, VariantSpec
from forecasting.windows import ModelInputs

if TYPE_CHECKING:
    from forecasting.neural.compression.conversion import LiteModel
    from forecasting.neural.export import ForecastModule

logger = logging.getLogger(__name__)

Quantiles = npt.NDArray[np.float32]

_RECORD_FILE = "record.json"
_MEASURING_S = 1.0
"""Seconds that measuring one variant takes at the end, about."""
_CALIBRATED = 3.0
"""How much longer a precision may take that needs ranges, before one was made."""


class Tournament:
    """Makes variants in their order; each is written where a run that goes on finds it, its record last."""

    def __init__(
        self,
        shelf: NetworkShelf,
        store: FeatureStore,
        *,
        parity: ParitySpec,
        calibration: Callable[[], ModelInputs],
        clock: BudgetClock,
        max_loss: float,
        kept: Path,
    ) -> None:
        """Begin.

        Args:
            shelf: Networks by pruning.
            store: Feature store.
            parity: Windows on which variants are compared.
            calibration: Gives the windows that ranges come from; asked once, where they are needed.
            clock: Of the step.
            max_loss: Increase of the MAE that may be, as a share.
            kept: Existing folder for what is done.
        """
        self._shelf, self._spec, self._parity, self._calibration = shelf, store.spec, parity, calibration
        self._clock, self._max_loss, self._kept = clock, max_loss, kept
        self._expected: dict[tuple[Pruning, bool], Quantiles] = {}
        self._floats: dict[Pruning, bytes] = {}
        self._windows: ModelInputs | None = None
        self._records: dict[str, VariantRecord] = {}
        self._floats_s: list[float] = []
        self._rest_s: dict[Precision, float] = {}
        self.durations_s: dict[str, float] = {}
        """Seconds of each variant, the pruning that it was the first to need included."""

    def build(self, variants: tuple[VariantSpec, ...]) -> list[VariantRecord]:
        """Records of all variants; those that were built have a file in the kept folder."""
        for number, spec in enumerate(variants, start=1):
            place = f"variant {number} of {len(variants)}"
            self._records[spec.name] = self._kept_record(spec) or self._try(spec, place)
        return [self._records[spec.name] for spec in variants]

    def deliver(self, output: Path) -> None:
        """Copy the files of what was built to `variants/<name>/model.tflite`."""
        for record in self._records.values():
            if record.path:
                target = output / record.path
                target.parent.mkdir(parents=True)
                shutil.copyfile(self.file(record.name), target)

    def file(self, name: str) -> Path:
        """The converted model of a variant."""
        return self._kept / name / TFLITE_FILE

    def _try(self, spec: VariantSpec, place: str) -> VariantRecord:
        if reason := self._needless(spec):
            return VariantRecord(spec.name, "", VariantStatus.UNNEEDED, reason)
        left = self._clock.left_s()
        estimate = self._estimate_s(spec)
        # Time for measuring what is there must remain.
        measuring = _MEASURING_S * (len(self._records) + 2)
        if left < estimate + measuring:
            reason = (
                f"{left:.0f} s of compression.time_budget_s left, "
                f"it would take about {estimate:.0f} s, and measuring takes {measuring:.0f} s at the end"
            )
            logger.info("%s: %s left out, %s", place, spec.name, reason)
            return VariantRecord(spec.name, "", VariantStatus.LEFT_OUT, reason)
        logger.info("%s: %s, about %.0f s", place, spec.name, estimate)
        self._clock.keep()
        began = time.monotonic()
        record = self._build(spec)
        seconds = round(time.monotonic() - began, 2)
        self.durations_s[spec.name] = seconds
        record = replace(record, build_s=seconds)
        folder = self._kept / spec.name
        folder.mkdir(exist_ok=True)
        write_text_atomically(folder / _RECORD_FILE, json.dumps(variant_document(record)))
        self._clock.keep()
        logger.info("%s: %s %s in %.1f s%s", place, spec.name, record.status.value, seconds, _because(record.reason))
        return record

    def _kept_record(self, spec: VariantSpec) -> VariantRecord | None:
        """What a process that was stopped had done."""
        path = self._kept / spec.name / _RECORD_FILE
        if not path.exists():
            return None
        record = variant_record(json.loads(path.read_text(encoding="utf-8")))
        self.durations_s[spec.name] = record.build_s or 0.0
        logger.info("%s was made before this run was stopped", spec.name)
        return record

    def _needless(self, spec: VariantSpec) -> str:
        """Why a variant is not tried although there is time."""
        plain = self._records.get(VariantSpec(spec.pruning, Precision.INT8).name)
        if spec.precision is not Precision.INT8_AWARE or plain is None or plain.status is not VariantStatus.BUILT:
            return ""
        loss = self._rounding_loss(plain, spec.pruning)
        if loss is None or not loss <= self._max_loss:
            return ""
        return f"rounding costs {plain.name} {loss:.2%} on the validation period, within compression.max_accuracy_loss"

    def _rounding_loss(self, plain: VariantRecord, pruning: Pruning) -> float | None:
        """Increase of the MAE over that of the float network of the same pruning: of what else was done it says nothing. None: not known."""
        whole, pruned = self._mae(Pruning.NONE), self._mae(pruning)
        if plain.validation_loss_ratio is None or not pruned > 0:
            return None
        return (1.0 + plain.validation_loss_ratio) * whole / pruned - 1.0

    def _estimate_s(self, spec: VariantSpec) -> float:
        """Seconds, from the variants before: of the same precision, else the slowest; and of the pruning, once."""
        whole = 0.0 if spec.pruning in self._floats else max(self._floats_s, default=0.0)
        first = max(self._rest_s.values(), default=0.0) * (_CALIBRATED if spec.precision.needs_calibration else 1.0)
        if spec.precision is Precision.INT8_AWARE:
            # Its float conversion is its own, and its seconds are those of fine-tuning and conversion together.
            first, whole = first + self._shelf.estimate_aware_s(spec.pruning) + max(self._floats_s, default=0.0), 0.0
        return whole + self._rest_s.get(spec.precision, first) + self._shelf.estimate_s(spec.pruning)

    def _build(self, spec: VariantSpec) -> VariantRecord:
        try:
            began = time.monotonic()
            if spec.precision is Precision.INT8_AWARE:
                network = self._shelf.aware(spec.pruning)
                model = self._convert(spec, network, None)
            else:
                network = self._shelf.network(spec.pruning)
                whole = self._float_content(spec.pruning, network)
                began = time.monotonic()
                model = self._convert(spec, network, whole)
            path = self.file(spec.name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(model.content)
            found = LitePredictor(path).predict(self._parity.inputs)
            took, before = time.monotonic() - began, self._rest_s.get(spec.precision, 0.0)
            self._rest_s[spec.precision] = max(took, before)
        except ArtifactError as error:
            return VariantRecord(spec.name, "", VariantStatus.REJECTED, str(error))
        return replace(self._record(spec, network, path, found), note=_note(model, network))

    def _float_content(self, pruning: Pruning, network: PrunedNetwork) -> bytes:
        """The float conversion, of which every precision is made: it is what takes the time."""
        from forecasting.neural.compression.conversion import convert_to_lite

        if pruning not in self._floats:
            kept = self.file(VariantSpec(pruning, Precision.FLOAT32).name)
            began = time.monotonic()
            done = kept.with_name(_RECORD_FILE).exists() and kept.exists()
            self._floats[pruning] = kept.read_bytes() if done else convert_to_lite(network.module).content
            self._floats_s.append(time.monotonic() - began)
        return self._floats[pruning]

    def _convert(self, spec: VariantSpec, network: PrunedNetwork, whole: bytes | None) -> "LiteModel":
        from forecasting.neural.compression.conversion import convert_to_lite

        calibration = self._calibrate() if spec.precision.needs_calibration else None
        return convert_to_lite(network.module, spec.precision, calibration=calibration, converted=whole)

    def _record(self, spec: VariantSpec, network: PrunedNetwork, path: Path, found: Quantiles) -> VariantRecord:
        middle = self._spec.quantiles.index(0.5)
        report = compare(
            found, self._answers(spec.pruning, aware=spec.precision is Precision.INT8_AWARE), self._parity,
            precision=spec.precision, n_levels=len(self._spec.quantiles), middle=middle,
        )  # fmt: skip
        size, compressed = file_sizes(path)
        float_mae = self._mae(Pruning.NONE)
        return VariantRecord(
            name=spec.name,
            path=f"{VARIANTS_DIR}/{spec.name}/{TFLITE_FILE}",
            status=VariantStatus.REJECTED if report.problem else VariantStatus.BUILT,
            reason=report.problem,
            size_bytes=size,
            compressed_bytes=compressed,
            parity_max_ratio=report.largest,
            parity_mean_ratio=report.mean,
            parity_window_ratio=report.worst_window,
            extreme_ratio=report.extreme_ratio,
            extreme_windows=report.extreme_windows,
            validation_loss_ratio=report.mae / float_mae - 1 if float_mae > 0 else None,
            sparsity=network.sparsity,
            n_parameters=network.n_parameters,
        )

    def _answers(self, pruning: Pruning, *, aware: bool = False) -> Quantiles:
        """Of the float network that conversions are made from; aware: of that fine-tuned for INT8."""
        key = pruning, aware
        if key not in self._expected:
            network = self._shelf.aware(pruning) if aware else self._shelf.network(pruning)
            self._expected[key] = answers(network.module, self._parity.inputs)
        return self._expected[key]

    def _mae(self, pruning: Pruning) -> float:
        """Of the float network of a pruning on the real windows."""
        middle = self._spec.quantiles.index(0.5)
        real = self._answers(pruning)[: self._parity.n_real, :, middle]
        error = np.abs(real - self._parity.actuals)
        return float(np.nanmean(error)) if np.isfinite(error).any() else float("nan")

    def _calibrate(self) -> ModelInputs:
        if self._windows is None:
            self._windows = self._calibration()
        return self._windows


def answers(module: "ForecastModule", inputs: ModelInputs) -> Quantiles:
    """What a float network says to windows `[N,H,A]`."""
    arrays: Mapping[str, Quantiles] = inputs.as_dict()
    result: Quantiles = module.quantiles(*arrays.values()).numpy()
    return result


def _note(model: "LiteModel", network: PrunedNetwork) -> str:
    layers = [f"{record.layer} ({record.error_ratio:.2%})" for record in model.float_layers]
    left = f"in float, for what each alone would change: {', '.join(layers)}" if layers else ""
    return "; ".join(part for part in (network.note, left) if part)


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""
