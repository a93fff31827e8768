import numpy as np
import pytest
import tensorflow as tf

from forecasting.errors import ConfigError
from forecasting.feature_store import FeatureStore, WindowIndex, window_index
from forecasting.neural.batches import window_gather
from forecasting.neural.feed import WindowFeed, epoch_order
from tests.unit.neural.conftest import SPLIT


class TwoWorkers:
    """What the feed asks of a strategy: worker `number` of two, one replica each."""

    num_replicas_in_sync = 2

    def __init__(self, number: int) -> None:
        self.cluster_resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": ["a:1", "b:2"]}), task_type="worker", task_id=number
        )


def feed_of(store: FeatureStore, windows: WindowIndex, size: int, strategy=None) -> WindowFeed:
    return WindowFeed(window_gather(store, windows), strategy or tf.distribute.get_strategy(), size)


def test_a_batch_is_what_lies_in_the_planes(sales_store):
    windows = window_index(sales_store, None, SPLIT.train_end, min_age=24)
    (batch,) = feed_of(sales_store, windows, 3).batches(np.asarray([700, 2, 300]))
    row, context, n_past = int(windows.row[300]), sales_store.spec.context, batch.tensors["history"].shape[2]
    n_past -= batch.tensors["future"].shape[2]
    planes = sales_store.planes
    np.testing.assert_array_equal(batch.tensors["history"][2], planes[row - context : row])
    np.testing.assert_array_equal(batch.tensors["future"][2], planes[row : row + 30, n_past:])
    np.testing.assert_array_equal(batch.tensors["target"][2], planes[row : row + 30, 0])
    np.testing.assert_array_equal(batch.tensors["present"][2], planes[row : row + 30, 1])
    assert batch.tensors["static"].numpy().ravel().tolist() == [1.0, 0.0, 0.0]


def test_planes_that_are_mapped_are_not_read_into_memory(hourly_store, windows, tmp_path):
    np.save(tmp_path / "planes.npy", hourly_store.planes)
    mapped = np.load(tmp_path / "planes.npy", mmap_mode="r")
    gather = window_gather(FeatureStore(hourly_store.spec, SPLIT, hourly_store.index, mapped), windows[0])
    assert np.shares_memory(gather.planes, mapped)
    batch = gather.arrays([5])["history"]
    assert type(batch) is np.ndarray
    assert not np.shares_memory(batch, mapped)


def test_the_order_of_an_epoch_hangs_on_seed_and_epoch_alone():
    assert epoch_order(1_000, 8, seed=1, epoch=2).tolist() == epoch_order(1_000, 8, seed=1, epoch=2).tolist()
    assert epoch_order(1_000, 8, seed=1, epoch=2).tolist() != epoch_order(1_000, 8, seed=1, epoch=3).tolist()
    assert epoch_order(1_000, 8, seed=1, epoch=2).tolist() != epoch_order(1_000, 8, seed=2, epoch=2).tolist()
    assert sorted(epoch_order(50, 50, seed=1, epoch=0)) == list(range(50))


def test_an_epoch_that_goes_on_in_its_middle_gives_the_batches_that_were_left(hourly_store, windows):
    feed = feed_of(hourly_store, windows[0], 4)
    order = np.arange(18)
    assert [batch.numbers.tolist() for batch in feed.batches(order, 2)] == [[8, 9, 10, 11], [12, 13, 14, 15]]


def test_two_workers_share_every_batch(hourly_store, windows):
    order = np.arange(8)
    whole = list(feed_of(hourly_store, windows[0], 4).batches(order))
    parts = [list(feed_of(hourly_store, windows[0], 4, TwoWorkers(n)).batches(order)) for n in (0, 1)]
    for batch, first, second in zip(whole, *parts, strict=True):
        assert batch.numbers.tolist() == first.numbers.tolist() == second.numbers.tolist()
        both = np.concatenate([first.tensors["history"], second.tensors["history"]])
        np.testing.assert_array_equal(batch.tensors["history"], both)


def test_a_batch_that_cannot_be_parted_is_a_config_error(hourly_store, windows):
    with pytest.raises(ConfigError, match="a multiple of the 2 replicas, found 7; take 6"):
        feed_of(hourly_store, windows[0], 7, TwoWorkers(0))


def test_padding_counts_nothing(hourly_store, windows):
    *_, last = feed_of(hourly_store, windows[0], 4).padded(np.arange(100, 106))
    assert last.tensors["present"].numpy()[2:].sum() == 0
    assert last.tensors["present"].numpy()[:2].sum() > 0


def test_an_error_of_the_gather_reaches_the_loop(hourly_store, windows):
    with pytest.raises(IndexError):
        list(feed_of(hourly_store, windows[0], 1).batches(np.asarray([10**6])))
