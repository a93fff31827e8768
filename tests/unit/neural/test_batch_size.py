import json

import pytest
import tensorflow as tf

from forecasting.config.training import TrainingConfig
from forecasting.errors import ConfigError
from forecasting.neural.batch_size import peak_mib, reset_peak, settle_batch_size, try_batch_sizes
from forecasting.neural.models import NetworkSpec
from tests.unit.neural.conftest import SHORT, SMALL

AUTO = SHORT.model_copy(update={"batch_size": "auto"})


def settle(store, train, kept, **settings) -> TrainingConfig:
    spec = NetworkSpec(store.spec, SMALL)
    training = AUTO.model_copy(update=settings)
    return settle_batch_size(spec, training, tf.distribute.get_strategy(), store, train, kept)


def test_sizes_are_tried_and_one_nearly_as_fast_as_the_fastest_is_taken(hourly_store, windows, tmp_path):
    kept = tmp_path / "checkpoints" / "batch_size.json"
    chosen = settle(hourly_store, windows[0], kept).batch_size
    report = json.loads(kept.read_text())
    # 453 windows: 64 leave seven steps in an epoch, which are too few
    assert [one["batch_size"] for one in report["tried"]] == [32]
    assert chosen == report["chosen"] == 32
    assert report["tried"][0]["windows_per_s"] > 100


def test_larger_sizes_are_tried_where_there_are_windows_for_them(sales_store, windows):
    from forecasting.feature_store import window_index

    many = window_index(sales_store, None, 10**10, min_age=24)
    spec = NetworkSpec(sales_store.spec, SMALL)
    report = try_batch_sizes(spec, AUTO, tf.distribute.get_strategy(), sales_store, many)
    assert [one.batch_size for one in report.tried] == [32, 64, 128]
    fastest = max(one.windows_per_s for one in report.tried)
    chosen = next(one for one in report.tried if one.batch_size == report.chosen)
    assert chosen.windows_per_s >= 0.95 * fastest


def test_a_choice_that_was_kept_is_taken_again(hourly_store, windows, tmp_path):
    (tmp_path / "batch_size.json").write_text('{"chosen": 48}')
    assert settle(hourly_store, windows[0], tmp_path / "batch_size.json").batch_size == 48


def test_a_memory_limit_that_nothing_fits_into_is_a_config_error(hourly_store, windows, tmp_path):
    with pytest.raises(ConfigError, match="no size that fits into 10 MiB"):
        settle(hourly_store, windows[0], tmp_path / "kept.json", memory_limit_mib=10)


def test_a_number_stays_what_it_is(hourly_store, windows, tmp_path):
    assert settle(hourly_store, windows[0], tmp_path / "kept.json", batch_size=40).batch_size == 40
    assert not (tmp_path / "kept.json").exists()


def test_auto_is_no_batch_size_of_a_step():
    with pytest.raises(ConfigError, match="must be a number here"):
        _ = AUTO.windows_per_step


def test_the_peak_follows_what_is_allocated():
    reset_peak()
    before = peak_mib()
    block = bytearray(200 * 2**20)
    assert peak_mib() - before > 150
    del block
    reset_peak()
    assert peak_mib() - before < 100
