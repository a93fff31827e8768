"""The section `tuning`: which paths and ranges are refused, and the space that each kind of model begins with."""

import pytest

from forecasting.config import parse_config
from forecasting.config.models import SINGLE_KINDS
from forecasting.config.search_space import default_space, with_settings
from forecasting.config.tuning import MAXIMISED, MINIMISED, RangeConfig
from forecasting.errors import ConfigError
from forecasting.metrics.definition import MetricDirection
from forecasting.metrics.registry import POINT_METRICS, QUANTILE_METRICS
from tests.unit.training.small_run import SETTINGS, small_config

KINDS = sorted(
    kind.model_fields["kind"].default for kind in SINGLE_KINDS if kind.model_fields["kind"].default != "ridge"
)


@pytest.mark.parametrize(
    ("path", "values", "said"),
    [
        ("model.unitz", {"low": 8, "high": 16}, "tuning.space.model.unitz must be a setting of this configuration (model.kind segment_lstm); the nearest is model.units"),
        ("model.trees", {"low": 8, "high": 16}, "tuning.space.model.trees must be a setting"),
        ("model.kind", {"choices": ["lstm", "gru"]}, "tuning.space.model.kind: a search may change settings of model (not its kind)"),
        ("forecast.horizon", {"low": 12, "high": 24}, "tuning.space.forecast.horizon: a search may change"),
        ("gates.model.max_mae", {"low": 1, "high": 2}, "tuning.space.gates.model.max_mae: a search may change"),
        ("training.augmentation.blur.sigma", {"low": 1, "high": 2}, "has no section 'blur'"),
        ("model.units", {"low": 0, "high": 16}, "tuning.space.model.units must hold values that this configuration can take, found 0"),
        ("model.dropout", {"low": 0.0, "high": 1.0}, "tuning.space.model.dropout must hold values that this configuration can take, found 1.0"),
        ("model.units", {"low": 8.5, "high": 16}, "tuning.space.model.units takes whole numbers"),
        ("training.optimizer", {"low": 1, "high": 2}, "tuning.space.training.optimizer is no number; give choices"),
        ("training.optimizer", {"choices": ["adam", "newton"]}, "tuning.space.training.optimizer must hold values that this configuration can take, found newton"),
        ("forecast.context", {"choices": [48, 50]}, "found 50: context (50) must be a multiple of segment (24)"),
    ],
)  # fmt: skip
def test_a_path_or_a_range_that_cannot_be_searched_is_refused_by_name(path, values, said):
    with pytest.raises(ConfigError) as error:
        small_config(tuning={"space": {path: values}})
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"low": 3, "high": 3}, "low must be below high"),
        ({"low": 0, "high": 3, "log": True}, "log needs a low above 0"),
        ({"low": 1, "high": 3, "choices": [1, 2]}, "either choices or low and high"),
        ({"low": 1}, "must have choices, or low and high"),
        ({"choices": [1, "1"]}, "choices must differ, found 1 twice"),
    ],
)
def test_a_range_of_the_wrong_form_is_refused(values, said):
    with pytest.raises(ConfigError, match=said):
        small_config(tuning={"space": {"model.units": values}})


@pytest.mark.parametrize(
    ("tuning", "said"),
    [
        ({"metric": "coverage"}, "metric must be one of mae"),
        ({"metric": "bias"}, "metric must be one of mae"),
        ({"space": {}}, "must name at least one setting"),
        ({"sampler": "grid"}, "there is no space"),
        ({"sampler": "grid", "space": {"model.units": {"low": 8, "high": 16}}}, "model.units has neither"),
        ({"fold_length": "90min"}, "tuning.fold_length"),
    ],
)
def test_a_search_that_cannot_be_is_refused(tuning, said):
    with pytest.raises(ConfigError, match=said):
        small_config(tuning=tuning)


def test_steps_make_a_grid_that_ends_at_high():
    assert RangeConfig(low=0.0, high=0.3, step=0.1).grid == pytest.approx((0.0, 0.1, 0.2, 0.3))
    assert RangeConfig(low=8, high=15, step=4).grid == (8, 12)


def test_more_is_better_where_the_metric_says_so():
    assert small_config(tuning={"metric": "r2"}).tuning.maximised
    assert not small_config(tuning={"metric": "mae"}).tuning.maximised


@pytest.mark.parametrize(
    ("direction", "names"), [(MetricDirection.LOWER, MINIMISED), (MetricDirection.HIGHER, MAXIMISED)]
)
def test_every_metric_of_the_registry_with_a_direction_can_be_searched_by(direction, names):
    known = [metric.name for metric in (*POINT_METRICS, *QUANTILE_METRICS) if metric.direction is direction]
    assert sorted(names) == sorted(known)


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_space_has_only_settings_and_values_of_the_kind(kind):
    settings = {**SETTINGS, "model": {"kind": kind}, "features": {"calendar": ["trend"]}}
    space = default_space(parse_config(settings, "kind").model_dump())
    assert {"training.learning_rate", "training.batch_size", "training.optimizer"} <= set(space)
    searched = {path: values.model_dump() for path, values in space.items()}
    assert parse_config({**settings, "tuning": {"space": searched}}, "kind").tuning.space == space


def test_the_default_space_holds_the_settings_as_they_are():
    space = default_space(small_config(model={"units": 8}, training={"batch_size": 48}).model_dump())
    assert space["model.units"].bounds == (8, 256)
    assert 48 in space["training.batch_size"].choices


def test_ridge_has_nothing_to_search():
    with pytest.raises(ConfigError, match="ridge is solved in closed form"):
        default_space(parse_config({**SETTINGS, "model": {"kind": "ridge"}}, "ridge").model_dump())


def test_changed_settings_leave_the_document_as_it_was():
    document = {"model": {"units": 8}, "training": {"seed": 1}}
    assert with_settings(document, {"model.units": (64, 32)}) == {"model": {"units": [64, 32]}, "training": {"seed": 1}}
    assert document == {"model": {"units": 8}, "training": {"seed": 1}}
