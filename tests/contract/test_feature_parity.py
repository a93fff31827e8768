"""One feature definition: NumPy (Beam, gateway, client) and TensorFlow (exported graph) agree with a float64 reference."""

from dataclasses import replace

import numpy as np
import pytest

from forecasting.features.calendar import calendar_columns
from forecasting.features.columns import ColumnBlock
from forecasting.features.namespace import NUMPY
from forecasting.features.terms import TERM_KINDS, term_document, term_from_document
from forecasting.features.transform import window_features
from forecasting.windows import window_inputs
from tests.contract.feature_references import EXAMPLES, reference
from tests.unit.features.feature_specs import HOUR_S, START, gappy_series, melbourne_spec

tf = pytest.importorskip("tensorflow")

from forecasting.neural.namespace import TENSORFLOW  # noqa: E402

N_STEPS = 260


def column(seed: int) -> np.ndarray:
    """A random series, float32 `[T]`: level up to 1e4 standard deviations, gaps, zeros, a constant piece, or nothing at all."""
    rng = np.random.default_rng(seed)
    level = rng.choice([0.0, 1.0, 1e2, 1e4]) * rng.choice([-1, 1])
    values = level + rng.normal(0, 1, N_STEPS)
    if seed % 3 == 0:
        values[50:120] = values[50]
    if seed % 4 == 1:
        values[rng.random(N_STEPS) < 0.6] = 0.0
    values[rng.random(N_STEPS) < rng.choice([0.0, 0.1, 0.5])] = np.nan
    values[150:190] = np.nan
    if seed == 7:
        values[:] = np.nan
    return values.astype(np.float32)


def scaler(raw: np.ndarray, seed: int) -> tuple[float, float]:
    """Location and scale from the series itself, or from others of another level, as float32 holds them."""
    if seed % 2 and np.isfinite(raw).any():
        return float(np.float32(np.nanmean(raw))), float(np.float32(np.nanstd(raw) or 1.0))
    return 0.0, 2.5


def test_every_kind_has_a_reference_and_examples():
    assert set(EXAMPLES) == set(TERM_KINDS)
    assert [kind for kind, terms in EXAMPLES.items() if {term.kind for term in terms} != {kind}] == []


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", TERM_KINDS)
def test_numpy_and_tensorflow_agree_with_the_float64_reference(kind: str, seed: int):
    raw = column(seed)
    location, scale = scaler(raw, seed)
    tolerance = 1e-5 * max(1.0, float(np.nanmax(np.abs((raw - location) / scale), initial=0.0)))
    for term in EXAMPLES[kind]:
        expected = reference(term, raw.astype(np.float64), location, scale)
        in_numpy = term.compute(ColumnBlock(raw[None], location, scale, NUMPY))[0]
        in_graph = term.compute(ColumnBlock(tf.constant(raw[None]), location, scale, TENSORFLOW))[0].numpy()
        np.testing.assert_allclose(in_numpy, expected, rtol=1e-5, atol=tolerance, err_msg=f"NumPy: {term}")
        np.testing.assert_allclose(in_graph, expected, rtol=1e-5, atol=tolerance, err_msg=f"TensorFlow: {term}")
        assert in_numpy.dtype == in_graph.dtype == np.float32


@pytest.mark.parametrize("kind", TERM_KINDS)
def test_a_feature_reads_no_further_back_than_it_says_and_never_ahead(kind: str):
    raw = np.where(np.isnan(column(1)), 0.5, column(1)).astype(np.float32)
    for term in EXAMPLES[kind]:
        t = 220
        before = raw.copy()
        before[: max(0, t - term.reach)] += 1e3
        before[t + 1 :] = np.nan
        full = term.compute(ColumnBlock(raw[None], 0.0, 1.0, NUMPY))[0, t]
        assert term.compute(ColumnBlock(before[None], 0.0, 1.0, NUMPY))[0, t] == pytest.approx(full, abs=1e-5)


@pytest.mark.parametrize("kind", TERM_KINDS)
def test_a_feature_survives_being_written_down(kind: str):
    for term in EXAMPLES[kind]:
        assert term_from_document(term_document(term)) == term


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_window_features_agree_across_gaps_and_daylight_saving(seed: int):
    derived = [replace(term, column="load") for terms in EXAMPLES.values() for term in terms if term.reach < 200]
    spec, series = melbourne_spec(derived=tuple(derived)), gappy_series(seed=seed)
    origins = START + HOUR_S * np.asarray([80, 150, 200, 300, 370])
    inputs = window_inputs(series, spec, origins)
    expected = window_features(inputs.history, inputs.future, spec, NUMPY)
    found = window_features(tf.constant(inputs.history), tf.constant(inputs.future), spec, TENSORFLOW)
    for numpy_side, tensorflow_side in zip(expected, found, strict=True):
        np.testing.assert_allclose(tensorflow_side.numpy(), numpy_side, atol=1e-5)


def test_calendar_agrees_over_decades_with_leap_days_and_clock_changes():
    spec = melbourne_spec()
    rng = np.random.default_rng(0)
    leap_days = np.asarray([951_782_400, 1_330_473_600, 1_709_164_800])
    stamps = np.concatenate(
        [
            rng.integers(0, 2_000_000_000, 5_000),
            leap_days,
            np.asarray(spec.calendar.transitions),
            np.asarray(spec.calendar.transitions) - 1,
        ]
    )
    expected = calendar_columns(stamps, spec.calendar)
    found = calendar_columns(tf.constant(stamps), spec.calendar, TENSORFLOW).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)
