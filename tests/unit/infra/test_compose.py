"""The Compose file against its schema and against what the repository has. It is not run here."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

from forecasting.config import load_config
from forecasting.contracts.ports import GATEWAY_PORT, GRPC_PORT, MONITOR_PORT, REST_PORT
from infra.monitoring.alertmanager_file import RETRAIN_TOKEN_FILE, alertmanager_document, compose_receivers
from infra.monitoring.prometheus_file import TOKEN_FILE, WORKER_PORT, compose_scrapes
from pipelines.parser import build_parser as build_cli_parser
from serving.gateway.__main__ import build_parser
from tests.contract.dockerfile import read_dockerfile

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "infra/compose"
TEXT = (FOLDER / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]


def mounts() -> list[tuple[str, str, str]]:
    """Service, source and target of every mount."""
    found = []
    for name, service in SERVICES.items():
        for mount in service.get("volumes", ()):
            source, target = re.fullmatch(r"(\$\{[^}]*\}|[^:]+):(\$\{[^}]*\}|[^:]+)(?::ro)?", mount).groups()
            found.append((name, source, target))
    return found


def target_of(service: str, source: str) -> str:
    (found,) = [target for name, one, target in mounts() if (name, one) == (service, source)]
    return found


def test_the_file_is_valid_against_the_schema_of_compose():
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        str(FOLDER / "docker-compose.yml"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_file_of_the_repository_that_is_mounted_exists():
    missing = [source for _, source, _ in mounts() if source.startswith(".") and not (FOLDER / source).exists()]
    assert missing == []


def test_every_named_volume_is_declared_and_used():
    named = {source for _, source, _ in mounts() if re.fullmatch(r"\w+", source)}
    assert named == set(COMPOSE["volumes"])


def test_every_variable_has_a_line_in_the_example():
    asked = set(re.findall(r"(?<!\$)\$\{(\w+)", TEXT))
    given = set(re.findall(r"^(\w+)=", (FOLDER / ".env.example").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert asked == given


def test_no_password_stands_in_the_file():
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert "PASSWORD" not in name or value.startswith("${"), name


def test_prometheus_scrapes_services_at_the_ports_they_listen_on():
    ports = {
        "gateway": GATEWAY_PORT,
        "model-server": REST_PORT,
        "monitor": MONITOR_PORT,
        "worker": 9103,
        "pushgateway": 9091,
    }
    addresses = {
        target.rpartition(":")[0]: int(target.rpartition(":")[2]) for target in compose_scrapes().targets.values()
    }
    assert addresses == ports
    assert set(addresses) <= set(SERVICES)
    assert compose_scrapes().alertmanager == "alertmanager:9093"
    assert f"--port={GATEWAY_PORT}" in SERVICES["gateway"]["command"]
    assert f"monitoring.port={MONITOR_PORT}" in SERVICES["monitor"]["command"]
    assert f"retraining.metrics_port={WORKER_PORT}" in SERVICES["worker"]["command"]
    assert f"metrics_port: {WORKER_PORT}" in (ROOT / "docs/retraining.md").read_text(encoding="utf-8")
    assert {f"--port={GRPC_PORT}", f"--rest_api_port={REST_PORT}"} <= set(SERVICES["model-server"]["command"])
    assert f"--grpc=model-server:{GRPC_PORT}" in SERVICES["gateway"]["command"]


def test_alertmanager_tells_the_gateway():
    (retrain,) = [one for one in alertmanager_document(compose_receivers())["receivers"] if one["name"] == "retrain"]
    assert retrain["webhook_configs"][0]["url"].startswith(f"http://gateway:{GATEWAY_PORT}/")


def test_tokens_are_where_prometheus_and_alertmanager_read_them():
    places = {name: SERVICES[name]["secrets"][0] for name in ("prometheus", "alertmanager")}
    assert places["prometheus"] == {"source": "gateway-read-token", "target": TOKEN_FILE}
    assert places["alertmanager"] == {"source": "gateway-alert-token", "target": RETRAIN_TOKEN_FILE}
    named = {
        one if isinstance(one, str) else one["source"]
        for service in SERVICES.values()
        for one in service.get("secrets", ())
    }
    assert named == set(COMPOSE["secrets"])


def test_configurations_are_mounted_where_the_commands_read_them():
    prometheus, alerts = SERVICES["prometheus"]["command"], SERVICES["alertmanager"]["command"]
    assert f"--config.file={target_of('prometheus', '../prometheus/prometheus.yml')}" in prometheus
    assert compose_scrapes().rules == (f"{target_of('prometheus', '../prometheus/rules')}/*.yml",)
    assert f"--config.file={target_of('alertmanager', '../alertmanager/alertmanager.yml')}" in alerts
    provider = yaml.safe_load((ROOT / "infra/grafana/provisioning/dashboards/almanac.yml").read_text(encoding="utf-8"))
    boards = target_of("grafana", "../grafana/dashboards")
    assert provider["providers"][0]["options"]["path"] == boards
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / "infra/grafana/dashboards" / home.removeprefix(f"{boards}/")).is_file()


def test_images_of_ours_are_targets_of_the_dockerfile_and_others_have_a_version():
    stages = read_dockerfile()
    for name, service in SERVICES.items():
        image, _, tag = service["image"].rpartition(":")
        assert tag not in ("", "latest"), name
        if image.startswith("almanac/"):
            assert image.removeprefix("almanac/") in stages, name
        if "build" in service:
            assert (FOLDER / service["build"]["context"]).resolve() == ROOT
            assert image == f"almanac/{service['build']['target']}"


def test_the_gateway_and_a_model_server_take_their_flags():
    flags = [re.sub(r"(?<!\$)\$\{[^}]*\}", "value", word).replace("$$", "$") for word in SERVICES["gateway"]["command"]]
    parsed = build_parser().parse_args(flags)
    assert (parsed.grpc, str(parsed.tokens)) == ("model-server:8500", "/run/secrets/gateway-tokens")
    assert parsed.store == "postgresql://almanac:${POSTGRES_PASSWORD}@postgresql/almanac"
    assert {word.partition("=")[0] for word in SERVICES["model-server"]["command"]} <= OFFICIAL_FLAGS


OFFICIAL_FLAGS = {
    "--port", "--rest_api_port", "--model_config_file", "--model_config_file_poll_wait_seconds", "--monitoring_config_file",
    "--prefer_tflite_model",
}  # fmt: skip
"""As `tensorflow_model_server --help` lists them."""


def test_the_home_has_the_same_path_inside_because_models_config_names_paths():
    homes = {name: (source, target) for name, source, target in mounts() if "ALMANAC_HOME" in source}
    assert set(homes) == {"model-server", "gateway", "monitor", "worker"}
    assert all(source == target for source, target in homes.values())


def test_what_a_service_waits_for_exists_and_can_say_that_it_is_well():
    for name, service in SERVICES.items():
        for other, wait in service.get("depends_on", {}).items():
            assert other in SERVICES, name
            assert wait["condition"] != "service_healthy" or "healthcheck" in SERVICES[other], name


def test_the_worker_takes_its_words_and_shares_the_store_of_the_gateway_and_the_monitor():
    words = [word.replace("$$", "$") for word in SERVICES["worker"]["command"]]
    parsed = build_cli_parser("0").parse_args(words)
    config = load_config(ROOT / "pipelines/configs/electricity.yaml", parsed.overrides)
    assert config.retraining.metrics_address == "0.0.0.0"
    url = "store.url=postgresql://almanac:$${POSTGRES_PASSWORD}@postgresql/almanac"
    assert url in SERVICES["worker"]["command"]
    assert url in SERVICES["monitor"]["command"]
    assert f"--{url.replace('.url', '')}" in SERVICES["gateway"]["command"]
    assert SERVICES["worker"]["depends_on"]["postgresql"]["condition"] == "service_healthy"


def test_the_tokens_of_the_gateway_are_given_to_the_user_that_reads_them():
    assert (ROOT / "Dockerfile").read_text(encoding="utf-8").count("USER 10001") > 0
    for path in ("docs/compose.md", "infra/compose/.env.example"):
        assert "chown 10001 secrets/gateway-tokens" in (ROOT / path).read_text(encoding="utf-8"), path


def test_only_the_loopback_of_the_machine_is_published():
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []
