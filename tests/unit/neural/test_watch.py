import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from forecasting.neural.loop import TrainingLoop
from forecasting.neural.models import NetworkSpec
from forecasting.neural.watch import EpochTally, StepRow, layer_norms
from tests.unit.neural.conftest import SHORT, SMALL


def row(loss: float, before: list[float], after: list[float], *, finite: bool = True, clipped: bool = False) -> StepRow:
    return StepRow.parse(np.asarray([loss, finite, clipped, 1.0, *before, *after], np.float32))


def test_norms_are_means_over_the_steps_and_layers_join_their_weights():
    tally = EpochTally().after([row(1.0, [3.0, 4.0, 1.0], [1.5, 2.0, 0.5], clipped=True)])
    tally = tally.after([row(2.0, [3.0, 4.0, 3.0], [1.5, 2.0, 1.5])])
    found = layer_norms(["net/cell/kernel", "net/cell/bias", "net/head/kernel"], tally)
    assert found == {"cell": pytest.approx((5.0, 2.5)), "head": pytest.approx((2.0, 1.0))}
    assert (tally.n_steps, tally.n_clipped, tally.loss_sum) == (2, 1, 3.0)
    assert tally.norm_max == pytest.approx(np.sqrt(34))


def test_a_skipped_step_counts_as_skipped_alone():
    tally = EpochTally().after([row(1.0, [1.0], [1.0]), row(float("inf"), [float("nan")], [0.0], finite=False)])
    assert (tally.n_steps, tally.n_skipped, tally.n_kept, tally.loss_sum) == (2, 1, 1, 1.0)
    assert tally.before_sums == (1.0,)


@pytest.fixture(scope="module")
def watched(hourly_store, windows, tmp_path_factory):
    """Two epochs with events and a profile of steps 3 and 4."""
    settings = SHORT.model_copy(update={"tensorboard": True, "profile_steps": (3, 4), "clip_norm": 1e-3})
    loop = TrainingLoop(NetworkSpec(hourly_store.spec, SMALL), settings, tf.distribute.get_strategy())
    place = tmp_path_factory.mktemp("summaries")
    return loop.fit(hourly_store, *windows, checkpoint=None, key="k", summaries=place), place


def test_the_history_tells_norms_speed_and_use(watched):
    last = watched[0].history[-1]
    assert last.clipped_ratio == 1.0
    assert last.clipped_gradient_norm == pytest.approx(1e-3, rel=1e-4)
    assert last.gradient_norm_max >= last.gradient_norm > 1e-3
    assert last.windows_per_s > 0
    assert last.cpu_use > 0
    assert {name.split("/")[-1] for name in last.layer_norms} >= {"decoder", "head"}
    assert all(after < before for before, after in last.layer_norms.values())


def events(place) -> list:
    (path,) = place.glob("events.out.tfevents.*")
    raw = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    found = [tf.compat.v1.Event.FromString(one) for one in raw]
    return [(event.step, value) for event in found for value in event.summary.value]


def test_events_have_a_scalar_and_a_histogram_of_each_epoch(watched):
    report, place = watched
    values = events(place)
    losses = [float(tf.make_ndarray(value.tensor)) for _, value in values if value.tag == "train_loss"]
    assert losses == pytest.approx([epoch.train_loss for epoch in report.history])
    tags = {value.tag: value.metadata.plugin_data.plugin_name for _, value in values if value.HasField("metadata")}
    assert {plugin for tag, plugin in tags.items() if tag.startswith("layer_gradient_norm/")} == {"scalars"}
    (histogram,) = {tag for tag in tags if tag.startswith("weights/") and tag.endswith("decoder/kernel")}
    assert tags[histogram] == "histograms"
    (first, *_) = [tf.make_ndarray(value.tensor) for step, value in values if value.tag == histogram]
    assert first.shape == (30, 3)
    assert first[:, 2].sum() > 0


def test_a_profile_is_written(watched):
    assert list(watched[1].glob("plugins/profile/*/*.xplane.pb"))


def test_nothing_is_written_unless_asked_for(hourly_store, windows, tmp_path):
    settings = SHORT.model_copy(update={"max_epochs": 1})
    loop = TrainingLoop(NetworkSpec(hourly_store.spec, SMALL), settings, tf.distribute.get_strategy())
    loop.fit(hourly_store, *windows, checkpoint=None, key="k", summaries=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_event_files_need_no_tensorboard(tmp_path):
    script = f"""
import sys
from pathlib import Path
from forecasting.neural.summaries import TrainingSummaries
from forecasting.neural.watch import EpochRecord
writer = TrainingSummaries(Path({str(tmp_path)!r}), events=True, profile_steps=None)
writer.epoch(EpochRecord(1, 0.5, 0.4, 0.1, 1.0), {{"a": __import__("numpy").ones(3)}})
writer.close()
print(sorted(name for name in sys.modules if name.split(".")[0] == "tensorboard"))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "[]"
    assert list(tmp_path.glob("events.out.tfevents.*"))
