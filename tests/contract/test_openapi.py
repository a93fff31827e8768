"""The OpenAPI document of the gateway: kept in docs/, and true of what is parsed."""

from pathlib import Path

import orjson
import pytest

from forecasting.contracts.ports import METRICS_PATH
from serving.gateway.forecast_request import parse_forecast_request
from serving.gateway.observation_post import parse_observations
from serving.gateway.openapi import openapi_text
from serving.gateway.schemas import FORECAST_EXAMPLES, OBSERVATION_EXAMPLES, ForecastBody, ObservationsBody

KEPT = Path(__file__).parents[2] / "docs/openapi.json"


def test_the_kept_document_is_that_of_the_routes():
    assert KEPT.read_text(encoding="utf-8") == openapi_text(), "run make docs"


def test_every_route_is_in_it():
    assert set(orjson.loads(openapi_text())["paths"]) == {
        "/v1/forecast", "/v1/observations", "/v1/timeseries/forecast", "/v1/timeseries/models", "/v1/series", "/v1/series/{series}/history",
        "/v1/series/{series}/replays", "/v1/models/{name}", "/healthz", "/readyz", METRICS_PATH,
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
