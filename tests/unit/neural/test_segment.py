"""What goes into the segments of `segment_lstm` and `segment_gru`."""

import numpy as np
import pytest

from forecasting.config.models import SegmentLstmConfig
from forecasting.features.transform import feature_blocks
from forecasting.neural.models.contract import NetworkSpec
from forecasting.neural.models.segment import SegmentModel
from tests.unit.features.feature_specs import melbourne_spec
from tests.unit.neural.model_windows import drawn_window

SPEC = melbourne_spec()
N_GROUP = 2


def messages(**settings):
    """A model and its messages of one window."""
    model = SegmentLstmConfig(units=8, **settings)
    segments = SegmentModel(NetworkSpec(SPEC, model), model, "lstm")
    return segments, segments.messages(drawn_window(SPEC, n_group=N_GROUP), training=False).steps.numpy()


@pytest.mark.parametrize(("embedding_units", "n_columns"), [(0, 2 + len(feature_blocks(SPEC).known)), (4, 1 + 4)])
def test_a_segment_holds_the_target_and_the_embedding_of_each_step(embedding_units, n_columns):
    segments, _ = messages(embedding_units=embedding_units)
    n_at_the_end = len(feature_blocks(SPEC).past) - 2
    assert segments.segment_embedding.kernel.shape[0] == SPEC.segment * n_columns + n_at_the_end + N_GROUP


def test_segment_dropout_changes_what_is_learnt_from_and_no_forecast():
    (plain, forecast), (dropping, _) = (messages(segment_dropout=rate) for rate in (0.0, 0.5))
    dropping.set_weights(plain.get_weights())
    window = drawn_window(SPEC, n_group=N_GROUP)
    np.testing.assert_array_equal(dropping.messages(window, training=False).steps.numpy(), forecast)
    assert np.abs(dropping.messages(window, training=True).steps.numpy() - forecast).max() > 0.01
