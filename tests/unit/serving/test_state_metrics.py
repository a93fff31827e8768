"""What the metrics say of the versions in a role."""

import asyncio
import threading

import pytest
from prometheus_client import generate_latest

from forecasting.repository import ModelRepository
from serving.gateway.forecaster import Forecaster
from serving.gateway.metrics import GatewayMetrics
from serving.gateway.model_loader import ModelLoader, RolesWatch
from serving.gateway.pages import StatePages
from tests.unit.forecasting.answering.observed_rows import served


@pytest.fixture
def repository(tmp_path):
    """Versions 1 and 2, the first champion."""
    found = ModelRepository(tmp_path / "models")
    (tmp_path / "version").mkdir()
    (tmp_path / "version" / "saved_model.pb").write_bytes(b"-")
    for _ in range(2):
        found.publish("tiny", tmp_path / "version")
    found.promote("tiny", 1)
    return found


def _lines(repository, name):
    metrics = GatewayMetrics()
    metrics.state.show_roles(repository, "tiny")
    page = generate_latest(metrics.registry).decode()
    return [line.rpartition(" ")[0] for line in page.splitlines() if line.startswith(f"{name}{{")]


TRAINED = "forecast_model_trained_timestamp_seconds"


def test_the_age_is_the_champions_while_a_newer_candidate_waits(repository):
    repository.set_candidate("tiny", 2)
    assert len(_lines(repository, "forecast_model_version")) == 2
    assert _lines(repository, TRAINED) == [f'{TRAINED}{{model="tiny",version="1"}}']


def test_the_age_is_the_champions_after_a_newer_one_was_rolled_back(repository):
    repository.promote("tiny", 2)
    repository.rollback("tiny")
    found = repository.roles("tiny")
    assert (found.champion, found.previous) == (1, 2)
    assert _lines(repository, TRAINED) == [f'{TRAINED}{{model="tiny",version="1"}}']


def test_without_a_champion_there_is_no_age(tmp_path):
    assert _lines(ModelRepository(tmp_path / "models"), TRAINED) == []


def test_what_can_fail_is_zero_on_the_first_page_of_a_configured_model():
    page = GatewayMetrics("tiny").page().decode()
    for reason in ("not_finite", "crossed", "beyond_bounds", "refused"):
        assert f'forecast_invalid_predictions_total{{model="tiny",reason="{reason}"}} 0.0' in page
    for reason in ("artifact", "configuration", "other"):
        assert f'forecast_model_load_failures_total{{model="tiny",reason="{reason}"}} 0.0' in page


class _SlowRepository(ModelRepository):
    """Of a disk that takes its time."""

    def record(self, name, version):
        threading.Event().wait(0.01)
        return super().record(name, version)


def test_pages_that_are_asked_for_at_the_same_time_are_all_whole(repository):
    async def ask():
        slow = _SlowRepository(repository.root)
        versions, metrics = RolesWatch(slow, "tiny"), GatewayMetrics()
        forecaster = Forecaster(
            "tiny", slow, ModelLoader(lambda _: served(), versions), "127.0.0.1:1", timeout_s=1,
            has_fallback=True, count=lambda *_: None,
        )  # fmt: skip
        pages = StatePages(forecaster, slow, metrics)

        async def scrape(number):
            await asyncio.sleep(number / 300)
            return await pages.metrics()

        found = await asyncio.gather(*[scrape(number) for number in range(60)])
        await forecaster.close()
        return [one.body.decode() for one in found]

    found = asyncio.run(ask())
    whole = [
        all(
            f"\n{name}{{" in page
            for name in (
                "forecast_model_version",
                "forecast_model_info",
                TRAINED,
                "forecast_model_cutoff_timestamp_seconds",
            )
        )
        for page in found
    ]
    assert (len(whole), whole.count(False)) == (60, 0)
