"""Forecasts of a table of scores, put back into a backtest or beside those of another table."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from forecasting.backtest.origins import BacktestSpec
from forecasting.backtest.report import open_backtest
from forecasting.backtest.score import ForecastRecord, write_scores
from forecasting.backtest.stored import (
    ScoresSource,
    champion_scores,
    common_steps,
    read_stored,
    scores_digest,
    version_scores,
)
from forecasting.config.sections import BacktestConfig
from forecasting.contracts.artifacts import ArtifactKind
from forecasting.contracts.layout import HomeLayout
from forecasting.manifests import digest_file, write_manifest
from tests.unit.backtest.tables import daily_wave, hourly_spec, hourly_store

LEVELS = (0.1, 0.5, 0.9)


def backtest_of(n_days: int, *, n_test_days: int = 3, levels: tuple[float, ...] = (100.0, 300.0)) -> BacktestSpec:
    store = hourly_store(
        {"Demand": [daily_wave(n_days, level=level) for level in levels]}, n_days=n_days, n_test_days=n_test_days
    )
    return open_backtest(store, hourly_spec(), settings=BacktestConfig(stride=24))


def random_record(backtest: BacktestSpec, seed: int) -> ForecastRecord:
    rng = np.random.default_rng(seed)
    quantiles = np.sort(rng.normal(200, 50, size=(*backtest.actual.shape, 3)), axis=2).astype(np.float32)
    return ForecastRecord(LEVELS, quantiles, np.ones(backtest.actual.shape, dtype=bool))


def stored(path: Path, backtest: BacktestSpec, **records: ForecastRecord) -> Path:
    write_scores(path, backtest, forecasts=records)
    return path


def test_what_was_written_comes_back_in_its_place(tmp_path: Path) -> None:
    backtest = backtest_of(10)
    record, other = random_record(backtest, 1), random_record(backtest, 2)
    mean = replace(record, mean=record.point + 1)
    path = stored(tmp_path / "scores.parquet", backtest, candidate=mean, champion=other)
    found = read_stored(ScoresSource(path, "candidate"), backtest)
    assert found is not None
    np.testing.assert_array_equal(found.quantiles, record.quantiles)
    np.testing.assert_array_equal(found.mean, mean.mean)
    assert found.available.all()
    assert found.levels == LEVELS


def test_only_origins_and_series_that_both_have_are_available(tmp_path: Path) -> None:
    then, now = backtest_of(10, n_test_days=4), backtest_of(12, n_test_days=4, levels=(100.0,))
    path = stored(tmp_path / "scores.parquet", then, candidate=random_record(then, 1))
    found = read_stored(ScoresSource(path, "candidate"), now)
    assert found is not None
    # Test days 6 to 9 then, 8 to 11 now: two of them are common, of the one series that is left.
    assert found.available.all(axis=1).tolist() == [True, True, False, False]
    same = [int(np.flatnonzero((then.origins == origin) & (then.rows == 0))[0]) for origin in now.origins[:2]]
    np.testing.assert_array_equal(found.quantiles[:2], random_record(then, 1).quantiles[same])
    assert np.isnan(found.quantiles[2:]).all()


def test_nothing_in_common_is_nothing(tmp_path: Path) -> None:
    then, now = backtest_of(10), backtest_of(20)
    path = stored(tmp_path / "scores.parquet", then, candidate=random_record(then, 1))
    assert read_stored(ScoresSource(path, "candidate"), now) is None
    assert read_stored(ScoresSource(path, "nobody"), then) is None


def test_common_steps_of_two_tables_join_by_series_origin_and_step(tmp_path: Path) -> None:
    then, now = backtest_of(10, n_test_days=4), backtest_of(12, n_test_days=4, levels=(300.0, 100.0))
    first, second = random_record(then, 1), random_record(now, 2)
    found = common_steps(
        ScoresSource(stored(tmp_path / "then.parquet", then, tflite_int8=first), "tflite_int8"),
        ScoresSource(stored(tmp_path / "now.parquet", now, candidate=second), "candidate"),
    )
    assert len(found.actual) == 2 * 2 * 24
    stamps = np.unique(found.origins)
    assert stamps.tolist() == sorted(set(then.origins) & set(now.origins))
    both = [np.isin(one.origins, stamps) for one in (then, now)]
    assert np.sort(found.first) == pytest.approx(np.sort(first.point[both[0]].ravel()))
    assert np.sort(found.second) == pytest.approx(np.sort(second.point[both[1]].ravel()))
    assert np.sort(found.actual) == pytest.approx(np.sort(now.actual[both[1]].ravel()))


def test_version_whose_run_is_gone_has_no_stored_forecasts(tmp_path: Path) -> None:
    home = HomeLayout(tmp_path)
    assert version_scores(home, {"run": "r1", "variant": "saved_model"}) is None
    assert version_scores(home, {}) is None
    for step, variant, model, kind in (
        ("evaluate_model", "saved_model", "candidate", ArtifactKind.EVALUATION),
        ("evaluate_compressed", "tflite_int8", "tflite_int8", ArtifactKind.COMPRESSED_EVALUATION),
    ):
        folder = home.runs / "r1" / step
        folder.mkdir(parents=True)
        (folder / "scores.parquet").write_bytes(b"")
        write_manifest(folder, kind, parents={})
        assert version_scores(home, {"run": "r1", "variant": variant}) == ScoresSource(folder / "scores.parquet", model)


def test_a_truncated_table_is_no_stored_forecast_and_changes_the_digest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home, record = HomeLayout(tmp_path), {"run": "r1", "variant": "saved_model"}
    folder = home.runs / "r1" / "evaluate_model"
    folder.mkdir(parents=True)
    assert scores_digest(home, record) == "none"
    backtest = backtest_of(10)
    table = stored(folder / "scores.parquet", backtest, candidate=random_record(backtest, 1))
    (folder / "report.json").write_text('{"champion_version": 1, "champion_problem": ""}')
    write_manifest(folder, ArtifactKind.EVALUATION, parents={})
    assert version_scores(home, record) is not None
    assert champion_scores(home, record, 1) is not None
    assert scores_digest(home, record) == digest_file(table)
    table.write_bytes(table.read_bytes()[:-100])
    assert version_scores(home, record) is None
    assert champion_scores(home, record, 1) is None
    assert scores_digest(home, record) == "none"
    assert "scores.parquet was altered after it was written" in caplog.text


def test_a_table_of_scores_without_a_manifest_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    home, record = HomeLayout(tmp_path), {"run": "r1", "variant": "saved_model"}
    folder = home.runs / "r1" / "evaluate_model"
    folder.mkdir(parents=True)
    (folder / "scores.parquet").write_bytes(b"")
    assert version_scores(home, record) is None
    assert "is no finished step output" in caplog.text


def test_a_table_of_scores_without_the_column_of_the_mean_is_read(tmp_path: Path) -> None:
    backtest = backtest_of(10)
    path = stored(tmp_path / "scores.parquet", backtest, candidate=random_record(backtest, 1))
    pq.write_table(pq.read_table(path).drop_columns(["mean"]), path)
    found = read_stored(ScoresSource(path, "candidate"), backtest)
    assert found is not None
    assert found.mean is None
