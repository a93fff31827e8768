"""The OpenAPI document of the gateway: kept in docs/, and true of what is parsed."""

from pathlib import Path

import orjson
import pytest

from forecasting.contracts.ports import METRICS_PATH
from forecasting.retrain_alerts import parse_alerts
from serving.gateway.forecast_request import parse_forecast_request
from serving.gateway.observation_post import parse_observations
from serving.gateway.openapi import openapi_text
from serving.gateway.retraining import parse_hand_reason
from serving.gateway.retraining_schemas import ALERT_EXAMPLES, RETRAIN_EXAMPLES, AlertsBody, RetrainBody
from serving.gateway.schemas import FORECAST_EXAMPLES, OBSERVATION_EXAMPLES, ForecastBody, ObservationsBody

KEPT = Path(__file__).parents[2] / "docs/openapi.json"


def test_the_kept_document_is_that_of_the_routes():
    assert KEPT.read_text(encoding="utf-8") == openapi_text(), "run make docs"


def test_every_route_is_in_it():
    assert set(orjson.loads(openapi_text())["paths"]) == {
        "/v1/forecast", "/v1/observations", "/v1/timeseries/forecast", "/v1/timeseries/models", "/v1/series", "/v1/series/{series}/history",
        "/v1/series/{series}/forecasts", "/v1/series/{series}/replays", "/v1/models/{name}", "/v1/alerts", "/v1/retrain", "/healthz", "/readyz", METRICS_PATH,
    }  # fmt: skip


@pytest.mark.parametrize("name", FORECAST_EXAMPLES)
def test_an_example_is_of_its_schema_and_is_parsed(name):
    body = FORECAST_EXAMPLES[name]["value"]
    assert ForecastBody.model_validate(body)
    assert parse_forecast_request(orjson.dumps(body))


def test_the_schema_has_the_keys_that_are_parsed():
    body = dict.fromkeys(ForecastBody.model_fields)
    assert parse_forecast_request(orjson.dumps(body))


@pytest.mark.parametrize("name", OBSERVATION_EXAMPLES)
def test_an_example_of_observations_is_of_its_schema_and_is_parsed(name):
    body = OBSERVATION_EXAMPLES[name]["value"]
    assert ObservationsBody.model_validate(body)
    assert parse_observations(orjson.dumps(body)).given.ids == tuple(body["observations"])


@pytest.mark.parametrize("name", ALERT_EXAMPLES)
def test_an_example_of_alerts_is_of_its_schema_and_is_parsed(name):
    body = ALERT_EXAMPLES[name]["value"]
    assert AlertsBody.model_validate(body)
    assert [one.ignored("electricity") for one in parse_alerts(body)] == [None]


@pytest.mark.parametrize("name", RETRAIN_EXAMPLES)
def test_an_example_of_a_retrain_request_is_of_its_schema_and_is_parsed(name):
    body = RETRAIN_EXAMPLES[name]["value"]
    assert parse_hand_reason(orjson.dumps(body)).reason == RetrainBody.model_validate(body).reason


def test_what_alertmanager_adds_to_a_post_one_day_is_left_alone():
    body = ALERT_EXAMPLES["firing"]["value"]
    later = {**body, "new": 1, "alerts": [{**body["alerts"][0], "also": {"new": True}}]}
    assert AlertsBody.model_validate(later)
    assert parse_alerts(later) == parse_alerts(body)


def test_the_document_names_every_key_of_alertmanagers_webhook():
    post = orjson.loads(openapi_text())["paths"]["/v1/alerts"]["post"]
    body = post["requestBody"]["content"]["application/json"]["schema"]
    alert = body["properties"]["alerts"]["items"]
    assert set(body["properties"]) == {
        "version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels", "commonAnnotations",
        "externalURL", "alerts",
    }  # fmt: skip
    assert set(alert["properties"]) == {
        "status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint",
    }  # fmt: skip
    assert body["additionalProperties"] is True
    assert alert["additionalProperties"] is True
