"""Settings that do not fit each other are refused when the configuration is read."""

import pytest

from forecasting.config import AlmanacConfig, parse_config
from forecasting.errors import ConfigError
from tests.unit.forecasting.config.test_values import GATES


def read(**sections: object) -> AlmanacConfig:
    return parse_config({"gates": GATES, "compression": {"max_accuracy_loss": 0.02}, **sections}, source="toy.yaml")


@pytest.mark.parametrize("period", ["validation", "test"])
def test_a_period_that_holds_no_whole_forecast_is_refused_by_its_key(period: str) -> None:
    lengths = {"validation": "28d", "test": "28d"}
    with pytest.raises(ConfigError, match=rf"split.{period} \(23h\) must hold a whole forecast: it has 23 steps of 1h"):
        read(split={**lengths, "embargo": False, period: "23h"})
    assert read(split={**lengths, "embargo": False, period: "24h"}).forecast.horizon == 24
    with pytest.raises(
        ConfigError, match=r"it has 47 steps of 1h, and forecast.horizon has 24 behind an embargo of 24"
    ):
        read(split={**lengths, period: "47h"})
    assert read(split={**lengths, period: "48h"}).split.embargo


@pytest.mark.parametrize("period", ["validation", "test"])
def test_a_period_that_is_no_whole_number_of_steps_is_refused_by_its_key(period: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"split.{period} \(90min\) must be a whole number of steps of data.frequency"
    ):
        read(split={"validation": "28d", "test": "28d", period: "90min"})


def test_an_age_of_cold_start_that_is_no_whole_number_of_steps_is_refused_by_its_key() -> None:
    with pytest.raises(ConfigError, match=r"backtest.cold_start_below \(36h\) must be a whole number of steps .*1d"):
        read(data={"frequency": "1d"}, split={"validation": "48d", "test": "48d"}, backtest={"cold_start_below": "36h"})
    assert read(data={"frequency": "1d"}, backtest={"cold_start_below": "48h"}).data.frequency == "1d"


@pytest.mark.parametrize("frequency", ["1d", "24h", "1w"])
def test_days_on_the_clock_of_a_zone_are_refused_with_what_to_do(frequency: str) -> None:
    sections = {"data": {"frequency": frequency}, "split": {"validation": "48w", "test": "48w"}}
    with pytest.raises(
        ConfigError, match=r"calendar_time_zone \(Europe/Berlin\) must be UTC where data.frequency .*set it to UTC"
    ):
        read(**sections, features={"calendar_time_zone": "Europe/Berlin"})
    for zone in ("UTC", "Etc/UTC"):
        assert read(**sections, features={"calendar_time_zone": zone}).data.frequency == frequency
    assert read(features={"calendar_time_zone": "Europe/Berlin"}).data.frequency == "1h"


def test_patches_that_do_not_fill_a_segment_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"model.patch \(7\) must divide forecast.segment \(24\)"):
        read(model={"kind": "transformer_lstm", "patch": 7})
    assert read(model={"kind": "transformer_lstm", "patch": 8}).model.kind == "transformer_lstm"


def test_an_additive_model_without_the_time_among_the_features_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"add 'trend' to features.calendar"):
        read(model={"kind": "additive"}, features={"calendar": ["day_of_week"]})
    assert read(model={"kind": "additive"}, features={"calendar": ["trend"]}).model.kind == "additive"


@pytest.mark.parametrize("scaling", [{"method": "log1p"}, {"columns": {"target": "log1p"}}])
def test_a_mean_of_a_target_scaled_by_its_logarithm_is_refused(scaling: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"forecast\.mean needs the target scaled by another method than log1p"):
        read(forecast={"mean": True}, features={"scaling": scaling})
    assert not read(features={"scaling": scaling}).forecast.mean
    assert read(
        forecast={"mean": True}, features={"scaling": {**scaling, "method": "log1p", "columns": {"target": "robust"}}}
    ).forecast.mean


@pytest.mark.parametrize(("sections", "message"), [
    ({"gates": {**GATES, "model": {**GATES["model"], "coverage_bands": [{"interval": 0.5, "min": 0.4, "max": 0.6}]}}},
     "names the interval 0.5, which forecast.quantiles do not make; they make 0.8"),
    ({"gates": {**GATES, "exceedance": {"threshold": 1, "min_events": 5, "min_auc": 0.7}}, "forecast": {"quantiles": [0.5]}},
     "gates.exceedance needs at least two forecast.quantiles"),
    ({"gates": {**GATES, "slices": {"min_points": 5}}}, "at least one of max_worst_series_naive_ratio, .* must be set"),
    ({"gates": {**GATES, "slices": {"min_points": 5, "max_holiday_naive_ratio": 1}}}, "needs to know the holidays"),
    ({"gates": {**GATES, "model": {**GATES["model"], "max_outlier_ratio": 1.1}}, "backtest": {"outliers": None}}, "set backtest.outliers"),
    ({"backtest": {"fold_length": "90min"}}, r"backtest.fold_length \(90min\) must be a whole number of steps"),
    ({"gates": {**GATES, "exceedance": {"threshold": 1, "min_events": 5}}}, "at least one of min_accuracy"),
    ({"gates": {**GATES, "model": {**GATES["model"], "min_coverage": 0.9, "max_coverage": 0.8}}},
     r"min_coverage \(0.9\) must be below max_coverage \(0.8\), or nothing can pass"),
    ({"gates": {**GATES, "model": {**GATES["model"], "min_champion_ratio": 0.95, "min_champion_improvement": 0.1}}},
     "must be below 1 - min_champion_improvement"),
])  # fmt: skip
def test_a_limit_that_could_never_be_judged_or_met_is_refused_when_it_is_read(
    sections: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config({"gates": GATES, "compression": {"max_accuracy_loss": 0.02}, **sections}, source="toy.yaml")


def test_more_versions_than_a_deployment_leaves_cannot_be_retained() -> None:
    with pytest.raises(
        ConfigError, match=r"retention.keep_versions must be at most serving.keep_versions \(5\).*found 6"
    ):
        read(retention={"keep_versions": 6})
    assert read(retention={"keep_versions": 6}, serving={"keep_versions": 6}).retention.keep_versions == 6


def test_a_model_that_waits_for_its_judgement_needs_one() -> None:
    with pytest.raises(ConfigError, match=r"deploy.approval shadow .* set gateway.candidate.judgement"):
        read(deploy={"approval": "shadow"})
    limits = {"requests": 10, "period": "1h", "min_requests": 5, "max_error_ratio": 0, "max_p99_ratio": 2}
    judgement = {**limits, "max_difference_ratio": 0.3, "max_live_error_ratio": None}
    candidate = {"shadow": 0.5, "judgement": judgement}
    assert read(deploy={"approval": "shadow"}, gateway={"candidate": candidate}).deploy.approval == "shadow"
