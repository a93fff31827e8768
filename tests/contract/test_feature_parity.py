"""One feature definition: NumPy (Beam, gateway, client) and TensorFlow (exported graph) agree with a float64 reference."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args

import numpy as np
import pytest

from forecasting.config.features import CalendarColumn, FeaturesConfig, FourierConfig
from forecasting.durations import duration_s
from forecasting.features.calendar import CALENDAR_COLUMNS, calendar_columns
from forecasting.features.columns import ColumnBlock
from forecasting.features.numpy_namespace import NUMPY
from forecasting.features.spec import ScalerSpec
from forecasting.features.terms import TERM_KINDS, term_document, term_from_document
from forecasting.features.transform import feature_blocks, vintage_places, window_features
from forecasting.features.zones import calendar_spec
from forecasting.localities import public_holidays, school_holidays, time_zone
from forecasting.windows import window_inputs
from tests.contract.feature_references import EXAMPLES, calendar_reference, reference
from tests.unit.features.feature_specs import HOUR_S, START, gappy_series, melbourne_spec
from tests.unit.features.whole_planes import feature_planes, horizon_planes
from tests.unit.forecasting.vintage_tables import issued_series

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
    expected = window_features(inputs.history, inputs.future, inputs.static, spec, NUMPY)
    found = window_features(tf.constant(inputs.history), tf.constant(inputs.future), None, spec, TENSORFLOW)
    for numpy_side, tensorflow_side in zip(expected, found, strict=True):
        np.testing.assert_allclose(tensorflow_side.numpy(), numpy_side, atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_planes_with_vintages_equal_the_features_of_every_window_in_both_libraries(seed: int):
    derived = [replace(term, column=name) for terms in EXAMPLES.values() for term in terms if term.reach < 200
               for name in ("load", "temperature")]  # fmt: skip
    own = ScalerSpec({"load": 100.0, "wind": 5.0, "temperature": 15.0}, {"load": 20.0, "wind": 2.0, "temperature": 6.0},
                     own={"temperature": {"a": (12.0, 5.0)}} if seed % 2 else {})  # fmt: skip
    spec = melbourne_spec(derived=tuple(derived), vintages=("temperature",), scaler=own)
    series = issued_series(seed=seed)
    n_past, places = len(feature_blocks(spec).past), list(vintage_places(spec))
    planes, horizons = feature_planes(series, spec), horizon_planes(series, spec)
    rows = np.asarray([1, 30, 150, 211, 300, 375])
    inputs = window_inputs(series, spec, START + HOUR_S * rows)
    static = None if inputs.static is None else tf.constant(inputs.static)
    in_numpy = window_features(inputs.history, inputs.future, inputs.static, spec, NUMPY)
    in_graph = window_features(tf.constant(inputs.history), tf.constant(inputs.future), static, spec, TENSORFLOW)
    for k, row in enumerate(rows.tolist()):
        ahead = planes[row + spec.context :][: spec.horizon, n_past:].copy()
        ahead[:, places] = horizons[row]
        for recent, future in (in_numpy, [part.numpy() for part in in_graph]):
            np.testing.assert_allclose(recent[k], planes[row : row + spec.context], atol=2e-5)
            np.testing.assert_allclose(future[k], ahead, atol=2e-5)


# Half-hour and 45-minute zones, both hemispheres, a clock change of half an hour (Lord Howe), none at all (UTC).
ZONES = {
    "Australia/Melbourne": "AU-VIC",
    "Australia/Lord_Howe": "AU-NSW",
    "Asia/Kathmandu": "AU-VIC",
    "Europe/Berlin": "DE-BE",
    "America/New_York": "BE-French",
    "UTC": "IL",
}
FIRST = int(datetime(2011, 12, 31, 13, tzinfo=UTC).timestamp())
LAST = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())


def hard_moments(transitions: tuple[int, ...]) -> np.ndarray:
    """Random hours, leap days, year ends, and every second around each clock change."""
    rng = np.random.default_rng(0)
    days = [(2012, 2, 28), (2012, 2, 29), (2016, 2, 29), (2020, 12, 31), (2024, 2, 29), (2025, 1, 1)]
    picked = [int(datetime(*day, hour, tzinfo=UTC).timestamp()) for day in days for hour in range(0, 24, 3)]
    changes = [
        moment + d
        for moment in transitions
        if FIRST < moment < LAST
        for d in (-86_400, -3_601, -1, 0, 1, 3_600, 86_400)
    ]
    return np.asarray([*rng.integers(FIRST, LAST, 400), *picked, *changes], dtype=np.int64)


def test_the_configuration_names_every_calendar_column():
    assert get_args(CalendarColumn) == tuple(CALENDAR_COLUMNS)


@pytest.mark.parametrize("zone", ZONES)
def test_calendar_columns_agree_with_the_standard_library(zone: str):
    features = FeaturesConfig(
        calendar_time_zone=zone, holidays=ZONES[zone], calendar=tuple(CALENDAR_COLUMNS), fourier=()
    )
    spec = calendar_spec(features, FIRST, LAST)
    years = range(2011, 2032)
    tables = {"holidays": set(public_holidays(ZONES[zone], years)), "school": set(school_holidays(ZONES[zone], years))}
    moments = hard_moments(spec.transitions)
    in_numpy = calendar_columns(moments, spec)
    in_graph = calendar_columns(tf.constant(moments), spec, TENSORFLOW).numpy()
    for i, name in enumerate(CALENDAR_COLUMNS):
        expected = [calendar_reference(name, int(at), time_zone(zone), tables, FIRST) for at in moments]
        np.testing.assert_allclose(in_numpy[:, i], np.asarray(expected, float), atol=1e-6, err_msg=f"NumPy: {name}")
        np.testing.assert_allclose(
            in_graph[:, i], np.asarray(expected, float), atol=1e-6, err_msg=f"TensorFlow: {name}"
        )


@pytest.mark.parametrize("period", ["24h", "7d", "8766h"])
def test_fourier_terms_agree_with_float64_in_the_local_time(period: str):
    features = FeaturesConfig(
        calendar_time_zone="Europe/Berlin", calendar=(), fourier=(FourierConfig(period=period, order=3),)
    )
    spec = calendar_spec(features, FIRST, LAST)
    moments = hard_moments(spec.transitions)
    zone, monday = time_zone("Europe/Berlin"), 4 * 86_400
    local = np.asarray([at + datetime.fromtimestamp(at, zone).utcoffset().total_seconds() for at in moments.tolist()])
    phase = 2 * np.pi * ((local - monday) % duration_s(period)) / duration_s(period)
    expected = np.stack([wave(k * phase) for k in (1, 2, 3) for wave in (np.sin, np.cos)], axis=-1)
    np.testing.assert_allclose(calendar_columns(moments, spec), expected, atol=2e-6)
    np.testing.assert_allclose(calendar_columns(tf.constant(moments), spec, TENSORFLOW).numpy(), expected, atol=2e-6)
