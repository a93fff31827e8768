"""`make monitoring` without a terminal."""

import time

import pytest

from infra.monitoring.local import watched_service
from tests.integration.services.prometheus import Prometheus, wait_until
from tests.integration.services.watched.stack import CONFIG, publish

pytestmark = pytest.mark.services


def test_a_service_and_what_watches_it_start_with_one_call_and_every_page_is_read(models, tmp_path, monkeypatch):
    home = tmp_path / "home"
    publish(models, home, int(time.time()))
    config = tmp_path / "tiny.yaml"
    ports = "serving: {grpc_port: 0, rest_port: 0, gateway_port: 0}\n"
    config.write_text(CONFIG.replace("HOME", str(home)) + ports)
    monkeypatch.setenv("ALMANAC_HOME", str(home))
    with watched_service(config, tmp_path / "watch", prometheus_port=0, alertmanager_port=0) as addresses:
        server = Prometheus(addresses["prometheus"])
        wait_until(server.is_ready, lambda: "Prometheus must answer")
        wait_until(
            lambda: (
                {labels["job"]: value for labels, value in server.query("up")}
                == {"gateway": 1, "model-server": 1, "monitor": 1}
            ),
            lambda: f"all pages must be read, found {server.query('up')}; logs in {tmp_path}",
        )
        assert set(addresses) == {"gateway", "model-server", "monitor", "alertmanager", "prometheus"}
