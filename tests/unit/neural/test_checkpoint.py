import logging

import numpy as np

from forecasting.neural.checkpoint import CheckpointStore, LoopRecord, TrainingState
from forecasting.neural.divergence import DivergenceRecord, LossGuard, WindowRecord
from forecasting.neural.watch import EpochRecord, EpochTally

RECORD = LoopRecord(
    step=3,
    best_loss=0.1 + 0.2,
    history=(EpochRecord(1, 1 / 3, float("nan"), 1e-3, 2.0, layer_norms={"head": (1 / 7, 0.1)}),),
    tally=EpochTally(n_steps=3, loss_sum=0.1, before_sums=(0.1, 1 / 3), after_sums=(0.1, 0.2)),
    guard=LossGuard((0.5, 1 / 3), 1),
    divergences=(DivergenceRecord(5, 1, "nan", "why", 0.1, (WindowRecord(4, "a", "2024"),), 2, 0.1),),
)


def state(step: int) -> TrainingState:
    return TrainingState(step, RECORD, {"weights": (np.asarray([step, 0.5], np.float32), np.asarray([7], np.uint32))})


def test_a_state_comes_back_to_the_last_bit(tmp_path):
    CheckpointStore(tmp_path / "fit", "k").save(state(3))
    found = CheckpointStore(tmp_path / "fit", "k").load()
    assert repr(found.loop) == repr(RECORD)
    assert found.arrays["weights"][1].dtype == np.uint32
    np.testing.assert_array_equal(found.arrays["weights"][0], [3, 0.5])


def test_the_last_two_states_are_kept_and_no_temporary_file_is_left(tmp_path):
    store = CheckpointStore(tmp_path, "k")
    for step in (5, 50, 500):
        store.save(state(step))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state-0000000050.npz", "state-0000000500.npz"]


def test_a_damaged_newest_state_gives_way_to_the_one_before_with_a_warning(tmp_path, caplog):
    store = CheckpointStore(tmp_path, "k")
    store.save(state(1))
    store.save(state(2))
    newest = tmp_path / "state-0000000002.npz"
    content = bytearray(newest.read_bytes())
    content[content.index(np.asarray([2, 0.5], np.float32).tobytes())] ^= 1
    newest.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert store.load().step == 1
    assert "state-0000000002.npz cannot be read (Bad CRC-32" in caplog.text


def test_a_state_that_was_cut_off_gives_way_too(tmp_path):
    store = CheckpointStore(tmp_path, "k")
    store.save(state(1))
    store.save(state(2))
    newest = tmp_path / "state-0000000002.npz"
    newest.write_bytes(newest.read_bytes()[:100])
    assert store.load().step == 1


def test_a_state_of_another_key_is_none_and_is_forgotten(tmp_path):
    CheckpointStore(tmp_path / "fit", "old").save(state(9))
    assert CheckpointStore(tmp_path / "fit", "new").load() is None
    assert not (tmp_path / "fit").exists()


def test_a_worker_that_is_not_the_chief_writes_nothing(tmp_path):
    store = CheckpointStore(tmp_path / "fit", "k", writes=False)
    store.save(state(1))
    store.save_best((np.zeros(1),), 1)
    assert not (tmp_path / "fit").exists()


def test_damaged_best_weights_are_none(tmp_path):
    store = CheckpointStore(tmp_path, "k")
    store.save_best((np.ones(3, np.float32),), 2)
    np.testing.assert_array_equal(store.load_best(2)[0], np.ones(3))
    assert store.load_best(3) is None
    (tmp_path / "best.npz").write_bytes(b"PK\x03\x04 truncated")
    assert store.load_best(2) is None
