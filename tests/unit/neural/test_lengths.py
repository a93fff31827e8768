import numpy as np
import tensorflow as tf

from forecasting.feature_store import window_index
from forecasting.neural.batches import window_gather
from forecasting.neural.feed import WindowFeed
from forecasting.neural.lengths import batches_of_like_length, history_lengths
from forecasting.neural.models import NetworkSpec, build_network
from tests.unit.neural.conftest import SMALL, SPLIT


def test_a_history_has_the_shortest_length_that_holds_its_age():
    ages = np.asarray([1, 24, 25, 96, 97, 168, 169, 336, 900])
    found = history_lengths(ages, context=336, segment=24, n_buckets=2)
    assert found.tolist() == [168, 168, 168, 168, 168, 168, 336, 336, 336]


def test_one_bucket_gives_every_window_the_context():
    assert history_lengths(np.asarray([1, 500]), context=336, segment=24, n_buckets=1).tolist() == [336, 336]


def test_lengths_are_whole_segments_where_the_buckets_do_not_divide_them():
    found = history_lengths(np.arange(0, 200, 7), context=120, segment=24, n_buckets=3)
    assert sorted(set(found.tolist())) == [48, 96, 120]


def test_batches_hold_like_lengths_and_every_window_once():
    rng = np.random.default_rng(0)
    order, lengths = rng.permutation(4_096).astype(np.int32), np.where(np.arange(4_096) % 4 == 0, 24, 48)
    batches = batches_of_like_length(order, lengths, batch_size=32, rng=rng).reshape(-1, 32)
    assert sorted(batches.ravel()) == list(range(4_096))
    # One batch of each of the two pools lies across the border between the lengths.
    assert sum(len(set(lengths[batch])) > 1 for batch in batches) <= 2
    assert len({tuple(lengths[batch]) for batch in batches[:8]}) > 1


def test_batches_of_short_histories_give_the_loss_of_whole_ones(sales_store):
    windows = window_index(sales_store, None, SPLIT.train_end, min_age=12)
    young = np.flatnonzero(windows.age <= 24)
    network = build_network(NetworkSpec(sales_store.spec, SMALL))
    rng = np.random.default_rng(0)
    for weight in network.trainable_variables:
        weight.assign(weight.numpy() + rng.normal(0, 0.1, weight.shape))
    short, whole = (window_gather(sales_store, windows, n_buckets=n)(young) for n in (2, 1))
    assert (short["history"].shape[1], whole["history"].shape[1]) == (24, 48)
    found, expected = (network(batch["history"], batch["future"], batch["static"])[0] for batch in (short, whole))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_epoch_in_buckets_has_the_same_windows_and_hangs_on_its_seed_alone(sales_store):
    windows = window_index(sales_store, None, SPLIT.train_end, min_age=12)
    feed = WindowFeed(window_gather(sales_store, windows, n_buckets=2), tf.distribute.get_strategy(), 16)
    n_steps = len(windows) // 16
    order = feed.epoch_order(n_steps, seed=1, epoch=0)
    assert len(set(order.tolist())) == n_steps * 16
    np.testing.assert_array_equal(order, feed.epoch_order(n_steps, seed=1, epoch=0))
    assert order.tolist() != feed.epoch_order(n_steps, seed=1, epoch=1).tolist()
    assert {batch.tensors["history"].shape[1] for batch in feed.batches(order)} == {24, 48}
