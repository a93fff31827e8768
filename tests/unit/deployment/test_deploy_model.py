import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.deployment.deploy_model import deploy_model
from components.deployment.golden import read_golden, write_golden
from components.deployment.validate_serving import validate_serving
from forecasting.admission.loading import AdmissionConfig, admit
from forecasting.admission.signing import read_public_key
from forecasting.config.root import DeployModelSettings, ValidateServingSettings
from forecasting.config.sections import DeployConfig, ForecastConfig, ServingConfig, SigningConfig
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import RemoteError
from forecasting.gates import read_decision, write_decision
from forecasting.gates.candidate import SHADOW_APPROVAL
from forecasting.repository import ModelRepository
from forecasting.series_store import read_series_store
from forecasting.steps import StepContext
from tests.unit.deployment.conftest import GATES, write_parents
from tests.unit.forecasting.admission.test_signing import write_keys
from tests.unit.forecasting.series_stores import write_series_store

SETTINGS = DeployModelSettings(name="tiny", forecast=ForecastConfig(), serving=ServingConfig(), deploy=DeployConfig())


@pytest.fixture
def validated(parents: dict[StepName, Path], context: StepContext) -> dict[StepName, Path]:
    _validate(parents, context)
    return parents


def _validate(parents: dict[StepName, Path], context: StepContext) -> None:
    settings = ValidateServingSettings(
        name="tiny", forecast=ForecastConfig(), gates=GATES, serving=ServingConfig(n_warmup_records=2)
    )
    assert validate_serving(settings, parents, parents[StepName.VALIDATE_SERVING], context).passed


def _deploy(
    parents: dict[StepName, Path], output: Path, context: StepContext, *, approval: str = "auto"
) -> dict[str, object]:
    output.mkdir()
    settings = SETTINGS.model_copy(update={"deploy": DeployConfig(approval=approval)})
    assert deploy_model(settings, parents, output, context).passed
    return json.loads((output / "deployment.json").read_text())


def test_a_first_deployment_is_champion_and_forecasts(validated, context, tmp_path):
    record = _deploy(validated, tmp_path / "out", context)
    repository = ModelRepository(context.home.models)
    assert (record["version"], record["previous_version"], record["variant"]) == (1, None, "tflite_int8")
    assert repository.role("tiny", ModelRole.CHAMPION) == 1
    assert repository.role("tiny", ModelRole.CANDIDATE) is None
    forecast = json.loads((tmp_path / "out" / "forecast.json").read_text())
    assert [series["id"] for series in forecast["series"]] == ["a", "b"]
    first = forecast["series"][0]
    assert len(first["quantiles"]) == len(first["actuals"]) == len(first["timestamps"]) == 3
    assert None not in first["actuals"]
    assert first["timestamps"][-1] + 3600 == record["cutoff"]
    assert first["history_timestamps"][-1] + 3600 == first["timestamps"][0]
    assert forecast["grpc_rest_max_difference"] < 1e-4


def test_a_version_remembers_the_error_of_its_backtest_by_step(validated, context, tmp_path):
    _deploy(validated, tmp_path / "out", context)
    found = ModelRepository(context.home.models).record("tiny", 1)["backtest"]
    assert found == {"mae": [0.4, 0.5, 0.6], "wape": [0.1, 0.1, 0.2]}


def test_a_model_that_a_person_must_approve_stays_candidate_and_is_asked_there(validated, context, tmp_path):
    record = _deploy(validated, tmp_path / "out", context, approval="manual")
    repository = ModelRepository(context.home.models)
    assert (record["version"], record["approval"], record["promoted_at"]) == (1, "deploy.approval is manual", None)
    assert repository.role("tiny", ModelRole.CHAMPION) is None
    assert repository.role("tiny", ModelRole.CANDIDATE) == 1
    assert repository.record("tiny", 1)["approval"] == "deploy.approval is manual"
    forecast = json.loads((tmp_path / "out" / "forecast.json").read_text())
    assert forecast["model"] == "tiny-candidate"

    again = _deploy(validated, tmp_path / "again", context, approval="manual")
    assert (again["version"], repository.versions("tiny")) == (1, [1])

    repository.promote("tiny", 1)
    approved = _deploy(validated, tmp_path / "approved", context, approval="manual")
    assert (approved["already_champion"], approved["approval"]) == (True, "")


def test_a_model_that_shadow_traffic_decides_about_stays_candidate_beside_a_champion(validated, context, tmp_path):
    repository = ModelRepository(context.home.models)
    record = _deploy(validated, tmp_path / "first", context, approval="shadow")
    assert (record["approval"], repository.role("tiny", ModelRole.CHAMPION)) == ("", 1)

    # Another champion, of which this model is not a copy.
    repository.update_record("tiny", 1, {"digest": "other"})
    record = _deploy(validated, tmp_path / "second", context, approval="shadow")
    assert (record["version"], record["approval"], record["promoted_at"]) == (2, SHADOW_APPROVAL, None)
    assert (repository.role("tiny", ModelRole.CHAMPION), repository.role("tiny", ModelRole.CANDIDATE)) == (1, 2)
    assert repository.record("tiny", 2)["approval"] == SHADOW_APPROVAL


def test_a_gate_that_asks_for_a_person_is_heard_though_the_settings_promote_by_themselves(validated, context, tmp_path):
    path = validated[StepName.EVALUATE_MODEL] / "decision.json"
    write_decision(replace(read_decision(path), approval="the champion could be compared at 0 of 3 origins"), path)
    (tmp_path / "out").mkdir()
    outcome = deploy_model(SETTINGS, validated, tmp_path / "out", context)
    assert outcome.summary == (
        "version 1 (tflite_int8) waits for approval: the champion could be compared at 0 of 3 origins"
    )
    assert not outcome.reusable
    assert ModelRepository(context.home.models).role("tiny", ModelRole.CHAMPION) is None


def test_the_audit_log_tells_of_candidate_and_promotion(validated, context, tmp_path):
    _deploy(validated, tmp_path / "out", context)
    found = [
        (record.action, record.version, record.reason) for record in ModelRepository(context.home.models).audit("tiny")
    ]
    assert found == [
        ("candidate", 1, "run r1 passed its gates"),
        ("promote", 1, "run r1 passed its gates"),
    ]


def test_the_series_are_served_from_the_repository_once_the_run_is_gone(validated, context, tmp_path):
    record = _deploy(validated, tmp_path / "out", context)
    shutil.rmtree(validated[StepName.VALIDATE_DATA])
    kept = context.home.root / record["series_dir"]
    assert kept == ModelRepository(context.home.models).require_series("tiny", 1)
    assert [series.id for series in read_series_store(kept)] == ["a", "b"]


def test_a_model_that_is_champion_already_is_asked_about_the_newer_series(validated, context, tmp_path):
    first = _deploy(validated, tmp_path / "first", context)
    folder = validated[StepName.VALIDATE_DATA]
    store = read_series_store(folder)
    later = replace(store.series[0], values=np.vstack([store.series[0].values, [[np.nan, 21.0]]]))
    write_series_store(replace(store, series=(later, store.series[1])), folder)
    again = _deploy(validated, tmp_path / "again", context)
    assert (again["version"], again["already_champion"]) == (1, True)
    assert again["series_dir"] != first["series_dir"]
    assert read_series_store(context.home.root / again["series_dir"]).get("a").n_steps == store.series[0].n_steps + 1


def test_the_same_model_is_not_published_twice_and_a_new_one_keeps_the_old_as_previous(
    validated, models, context, tmp_path
):
    _deploy(validated, tmp_path / "first", context)
    again = _deploy(validated, tmp_path / "again", context)
    assert (again["version"], again["already_champion"]) == (1, True)
    assert ModelRepository(context.home.models).versions("tiny") == [1]

    other = write_parents(models, tmp_path / "other", variant="tflite_int8", lite_factor=1)
    _validate(other, context)
    second = _deploy(other, tmp_path / "second", context)
    assert (second["version"], second["previous_version"]) == (2, 1)


def test_the_record_names_the_versions_that_had_to_make_room(validated, context, tmp_path):
    repository, source = ModelRepository(context.home.models), tmp_path / "source"
    source.mkdir()
    (source / "weights").write_text("old")
    for number in range(5):
        repository.publish("tiny", source, {"digest": f"old {number + 1}"})
    record = _deploy(validated, tmp_path / "out", context)
    assert record["pruned"] == [{"number": 1, "digest": "old 1"}]
    assert repository.versions("tiny") == [2, 3, 4, 5, 6]


def test_a_golden_request_that_is_answered_differently_leaves_no_trace_in_the_roles(validated, context, tmp_path):
    golden = validated[StepName.VALIDATE_SERVING] / "golden.npz"
    inputs, quantiles = read_golden(golden)
    write_golden(golden, inputs, np.asarray(quantiles * 1.01, dtype=np.float32))
    with pytest.raises(RemoteError, match="golden request of version 1"):
        deploy_model(SETTINGS, validated, tmp_path, context)
    roles = ModelRepository(context.home.models).roles("tiny")
    assert (roles.champion, roles.candidate, roles.last_version) == (None, None, 1)


def test_a_version_the_server_cannot_load_keeps_the_champion_served(validated, context, tmp_path):
    _deploy(validated, tmp_path / "first", context)
    lite = validated[StepName.VALIDATE_SERVING] / "version" / "model.tflite"
    lite.write_bytes(lite.read_bytes()[:100])
    with pytest.raises(RemoteError, match="cannot be loaded by the server"):
        deploy_model(SETTINGS, validated, tmp_path, context)
    repository = ModelRepository(context.home.models)
    assert repository.roles("tiny").champion == 1
    assert repository.roles("tiny").candidate is None
    assert "versions: 1 " in repository.server_config.read_text()
    assert "candidate" not in repository.server_config.read_text()


def test_a_deployment_signs_its_version_for_the_server_that_asks_for_it(validated, context, tmp_path):
    private, public = write_keys(tmp_path)
    settings = SETTINGS.model_copy(
        update={
            "deploy": DeployConfig(signing=SigningConfig(key_file=str(private))),
            "serving": ServingConfig(signature_key_file=str(public)),
        }
    )
    (tmp_path / "out").mkdir()
    assert deploy_model(settings, validated, tmp_path / "out", context).passed
    version = ModelRepository(context.home.models).version_dir("tiny", 1)
    admit(version, AdmissionConfig(public_key=read_public_key(public)))
