import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.deployment.validate_serving import validate_serving
from forecasting.config.gates import ServingGateConfig
from forecasting.config.root import ValidateServingSettings
from forecasting.config.sections import ForecastConfig, ServingConfig
from forecasting.contracts.steps import StepName
from forecasting.errors import RetryableError
from forecasting.series_store import read_series_store
from forecasting.wire.messages import PredictionLog
from forecasting.wire.records import read_records
from tests.unit.deployment.conftest import GATES, write_parents
from tests.unit.forecasting.series_stores import write_series_store

SETTINGS = ValidateServingSettings(
    name="tiny", forecast=ForecastConfig(), gates=GATES, serving=ServingConfig(n_warmup_records=2)
)


def test_a_sound_candidate_passes_with_latencies_and_a_version_directory_that_serves(parents, context, tmp_path):
    outcome = validate_serving(SETTINGS, parents, tmp_path, context)
    assert outcome.passed, outcome.summary
    version = tmp_path / "version"
    assert (version / "saved_model.pb").is_file()
    assert (version / "model.tflite").is_file()
    assert (version / "assets.extra" / "almanac_feature_spec.json").is_file()
    logs = [
        PredictionLog.FromString(record)
        for record in read_records(version / "assets.extra" / "tf_serving_warmup_requests")
    ]
    assert [log.predict_log.request.model_spec.name for log in logs] == ["tiny-candidate", "tiny-candidate"]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["variant"] == "tflite_int8"
    assert 0 < report["grpc"]["p50_ms"] <= report["grpc"]["p99_ms"]
    assert report["difference_ratio"] < 1e-4
    assert report["gaps_difference_ratio"] < 1e-4
    decision = json.loads((tmp_path / "decision.json").read_text())
    assert [rule["rule"] for rule in decision["rules"]] == ["max_latency_ms", "max_difference_ratio"]


def test_the_saved_model_ships_without_a_lite_file(models, context, tmp_path):
    parents = write_parents(models, tmp_path / "run", variant="saved_model")
    output = tmp_path / "out"
    output.mkdir()
    outcome = validate_serving(SETTINGS, parents, output, context)
    assert outcome.passed, outcome.summary
    assert not (output / "version" / "model.tflite").exists()


def test_a_latency_above_the_limit_is_a_refusal(parents, context, tmp_path):
    gates = GATES.model_copy(update={"serving": ServingGateConfig(max_latency_ms=1e-6, max_difference_ratio=1e-4)})
    outcome = validate_serving(SETTINGS.model_copy(update={"gates": gates}), parents, tmp_path, context)
    assert not outcome.passed
    assert "max_latency_ms fails" in outcome.summary
    assert outcome.reusable is False


def test_a_model_without_a_finite_answer_is_a_refusal_for_good(parents, context, tmp_path):
    folder = parents[StepName.VALIDATE_DATA]
    store = read_series_store(folder)
    huge = tuple(replace(one, values=np.full_like(one.values, 3e38)) for one in store)
    write_series_store(replace(store, series=huge), folder)
    outcome = validate_serving(SETTINGS, parents, tmp_path, context)
    assert "max_difference_ratio fails" in outcome.summary
    assert (outcome.passed, outcome.reusable) == (False, True)


@pytest.mark.parametrize(
    ("module", "text", "message"),
    [
        ("uvloop.py", "raise ImportError('broken here')", "broken here"),
        ("ai_edge_litert/__init__.py", "import os; os._exit(9)", "ended (at once|by itself) with code 9"),
    ],
)
def test_a_server_that_does_not_run_says_nothing_of_the_candidate(
    parents, context, tmp_path, monkeypatch, module, text, message
):
    (tmp_path / "path" / module).parent.mkdir(parents=True)
    (tmp_path / "path" / module).write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    with pytest.raises(RetryableError, match=message):
        validate_serving(SETTINGS, parents, tmp_path, context)
    assert not (tmp_path / "decision.json").exists()


def test_a_lite_model_under_names_the_server_does_not_know_is_a_refusal(parents, models, context, tmp_path):
    variant = parents[StepName.COMPRESS_MODEL] / "variants" / "tflite_int8" / "model.tflite"
    variant.write_bytes((models / "lite" / "converter.tflite").read_bytes())
    outcome = validate_serving(SETTINGS, parents, tmp_path, context)
    assert not outcome.passed
    assert "warm-up" in outcome.summary
    assert outcome.reusable is False
    assert json.loads((tmp_path / "decision.json").read_text())["passed"] is False


@pytest.mark.parametrize("name", ["model.tflite", "saved_model.pb"])
def test_the_version_holds_the_very_files_that_were_evaluated(parents, context, tmp_path, name):
    validate_serving(SETTINGS, parents, tmp_path, context)
    source = {
        "model.tflite": parents[StepName.COMPRESS_MODEL] / "variants" / "tflite_int8" / "model.tflite",
        "saved_model.pb": parents[StepName.TRAIN_MODEL] / "saved_model" / "saved_model.pb",
    }[name]
    assert (Path(tmp_path) / "version" / name).read_bytes() == source.read_bytes()
