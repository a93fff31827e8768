"""Commands, flags, configurations and files in the manifests, given to the programs that read them."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from forecasting.config import load_config
from forecasting.contracts.metric_names import METRICS
from forecasting.wire.messages import MonitoringConfig
from infra.monitoring.tensorflow_names import SCRAPED
from pipelines.parser import build_parser as build_cli_parser
from serving.gateway.__main__ import build_parser as build_gateway_parser
from serving.launch import MONITORING_CONFIG
from serving.model_server import flags as server_flags
from serving.model_server.official_flags import OFFICIAL_FLAGS
from serving.model_server.text_files import read_batching, read_text_file
from serving.model_sync.__main__ import build_parser as build_sync_parser
from tests.contract.dockerfile import lineage, read_dockerfile
from tests.integration.kubernetes.rendering import (
    KUSTOMIZE,
    RENDERED,
    TOGETHER,
    named,
    of_kind,
    pod_templates,
    rendered,
    rendered_overlay,
)

pytestmark = pytest.mark.services
FILES = KUSTOMIZE / "base/files"


def container_of(name: str, owner: str) -> dict[str, Any]:
    (pods,) = [one for one in pod_templates(rendered(name)) if one.owner == owner]
    (container,) = pods.spec["containers"]
    return dict(container)


@pytest.mark.parametrize("name", RENDERED)
def test_the_official_server_knows_every_flag_and_ours_takes_them(name):
    container = container_of(name, "model-server")
    assert container["command"] == ["/opt/tini/tini", "--", "/usr/bin/tensorflow_model_server"]
    official = {spec.name for spec in OFFICIAL_FLAGS}
    assert {word.removeprefix("--").partition("=")[0] for word in container["args"]} <= official
    parsed = server_flags.build_parser().parse_args(container["args"])
    opened = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert opened == {"grpc": parsed.port, "http": parsed.rest_api_port}
    assert parsed.enable_batching is True
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    assert str(Path(parsed.model_config_file).parent) in mounts


def test_the_files_of_the_official_server_can_be_read():
    assert read_text_file(FILES / "monitoring.config", MonitoringConfig) == read_text_file(
        MONITORING_CONFIG, MonitoringConfig
    )
    batching, _ = read_batching(FILES / "batching.config")
    assert batching.max_batch_size == 64


@pytest.mark.parametrize("name", RENDERED)
def test_the_gateway_takes_its_flags_and_asks_every_model_server_in_turn(name):
    container = container_of(name, "gateway")
    stages = lineage(read_dockerfile(), "gateway")
    (entry,) = [value for stage in stages for value in stage.values("ENTRYPOINT")]
    words = [*yaml.safe_load(entry)[3:], *container["args"]]
    parsed = build_gateway_parser().parse_args(words)
    opened = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert opened == {"grpc": parsed.grpc_port, "http": parsed.port}
    assert parsed.bind_address == "0.0.0.0"
    assert str(parsed.models_dir) in [mount["mountPath"] for mount in container["volumeMounts"]]
    server = named(rendered(name), "Service", "model-server")
    assert server["spec"]["clusterIP"] == "None"
    ports = {port["name"]: port["port"] for port in server["spec"]["ports"]}
    assert parsed.grpc == f"dns:///model-server:{ports['grpc']}"


@pytest.mark.parametrize("name", RENDERED)
@pytest.mark.parametrize("owner", ["monitor", "worker", "forecasts"])
def test_almanac_takes_its_words_and_the_configuration(name, owner, tmp_path):
    documents, container = rendered(name), container_of(name, owner)
    parsed = build_cli_parser("0").parse_args(container["args"])
    file = tmp_path / "almanac.yaml"
    file.write_text(named(documents, "ConfigMap", "almanac-config")["data"]["almanac.yaml"], encoding="utf-8")
    config = load_config(file, parsed.overrides)
    assert str(parsed.config) == "/etc/almanac/almanac.yaml"
    assert config.name == named(documents, "ConfigMap", "almanac-model")["data"]["name"]
    listened = {
        "monitor": (config.monitoring.bind_address, config.monitoring.port),
        "worker": (config.retraining.metrics_address, config.retraining.metrics_port),
    }
    if owner in listened:
        assert listened[owner] == ("0.0.0.0", container["ports"][0]["containerPort"])
    else:
        assert config.batch.to is not None
        assert parsed.batch is not None


@pytest.mark.parametrize("name", RENDERED)
def test_the_gateway_and_the_configuration_name_one_store(name):
    text = named(rendered(name), "ConfigMap", "almanac-config")["data"]["almanac.yaml"]
    parsed = build_gateway_parser().parse_args(container_of(name, "gateway")["args"] + ["--models-dir=/x"])
    assert parsed.store == yaml.safe_load(text)["store"]["url"]
    variables = set(re.findall(r"\$\{(\w+)\}", text + parsed.store))
    for owner in ("gateway", "monitor", "worker", "forecasts"):
        given = {one["name"] for one in container_of(name, owner)["env"]}
        assert variables <= given, owner


def test_an_overlay_scales_by_metrics_that_are_exported():
    known = {*METRICS, *SCRAPED}
    asked = set()
    for scaled in of_kind(rendered("prod"), "ScaledObject"):
        for trigger in scaled["spec"]["triggers"]:
            asked |= set(re.findall(r"\b(?:forecast|tensorflow)_\w+", trigger["metadata"].get("query", "")))
    assert asked == {"forecast_requests_in_flight", "tensorflow_serving_request_count"}
    assert asked <= known


def test_the_first_process_of_the_model_server_is_in_the_image_that_it_is_taken_from():
    copied = read_dockerfile()["gateway"].values("COPY")
    assert "--from=tini /usr/bin/tini-static /usr/bin/tini-static" in copied
    (pods,) = [one for one in pod_templates(rendered("dev")) if one.owner == "model-server"]
    prepare = pods.spec["initContainers"][-1]
    assert "almanac/gateway" in prepare["image"]
    assert "cp /usr/bin/tini-static /opt/tini/tini" in prepare["args"][0]


def test_scripts_of_the_manifests_are_valid():
    assert shutil.which("bash") is not None
    subprocess.run(["bash", "-n", str(FILES / "ready.sh")], check=True)
    for name in RENDERED:
        for pods in pod_templates(rendered(name)):
            for container in pods.containers:
                if container.get("command", [])[:1] == ["sh"]:
                    subprocess.run(["sh", "-n", "-c", container["args"][0]], check=True)


@pytest.mark.parametrize("name", ["object-store", "prod", "signed", TOGETHER])
def test_readers_pull_into_a_volume_of_their_own_and_only_the_worker_pushes(name):
    directions = {}
    for pods in pod_templates(rendered(name)):
        for container in pods.spec.get("initContainers", ()):
            if container["command"] != ["python", "-m", "serving.model_sync"]:
                continue
            parsed = build_sync_parser().parse_args(container["args"])
            (mount,) = [one for one in container["volumeMounts"] if one["mountPath"] == str(parsed.models_dir)]
            (home,) = [one for one in pods.spec["volumes"] if one["name"] == mount["name"]]
            keys = {
                one["valueFrom"]["secretKeyRef"]["key"]
                for one in container["env"]
                if "secretKeyRef" in one["valueFrom"]
            }
            is_push = parsed.direction == "push"
            assert mount.get("readOnly", False) is is_push
            assert ("persistentVolumeClaim" in home) is is_push
            assert all(key.startswith("writer-" if is_push else "reader-") for key in keys)
            assert parsed.once is ("restartPolicy" not in container)
            directions[pods.owner] = parsed.direction
    readers = dict.fromkeys(("model-server", "gateway", "monitor", "forecasts"), "pull")
    assert directions == {**readers, "worker": "push"}


def test_a_server_waits_for_the_first_model_after_its_sidecar():
    (pods,) = [one for one in pod_templates(rendered("object-store")) if one.owner == "model-server"]
    assert [one["name"] for one in pods.spec["initContainers"]] == ["pull", "prepare"]


@pytest.mark.parametrize("name", ["signed", TOGETHER])
def test_where_versions_are_signed_every_reader_has_the_public_key_and_the_worker_alone_the_private_one(name):
    readers, keys = set(), {}
    for pods in pod_templates(rendered(name)):
        for volume in pods.spec.get("volumes", ()):
            if volume["name"] == "signing":
                (item,) = volume["secret"]["items"]
                keys[pods.owner] = item["key"]
        for container in pods.containers:
            if container.get("command") == ["python", "-m", "serving.model_sync"] and container["args"][0] == "pull":
                parsed = build_sync_parser().parse_args(container["args"])
                assert {one["mountPath"] for one in container["volumeMounts"]} > {str(parsed.signature_key_file.parent)}
                readers.add(pods.owner)
    assert readers == {"model-server", "gateway", "monitor", "forecasts"}
    assert keys == {**dict.fromkeys(readers, "signing.pub"), "worker": "signing.pem"}


def test_signed_versions_alone_are_not_rendered_where_nothing_is_pulled(tmp_path):
    with pytest.raises(AssertionError, match="initContainers/0/args"):
        rendered_overlay(tmp_path, components=["postgres", "signed"])


def test_kserve_after_the_object_store_is_not_rendered_because_its_pods_would_have_no_sidecar(tmp_path):
    with pytest.raises(AssertionError, match="initContainers/0/name"):
        rendered_overlay(tmp_path, components=["postgres", "object-store", "kserve"])
