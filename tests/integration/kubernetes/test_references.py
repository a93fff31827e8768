"""What one manifest says of another, which no schema looks at: names, keys, ports, labels, accounts and paths."""

import re

import pytest
import yaml

from forecasting.contracts.ports import METRICS_PATH, MODEL_SERVER_METRICS_PATH
from serving.gateway.guard import OPEN_PATHS
from tests.integration.kubernetes.rendering import (
    RENDERED,
    ROOT,
    PodTemplate,
    named,
    of_kind,
    pod_templates,
    rendered,
    selects,
)

pytestmark = pytest.mark.services

OF_STEPS = {
    "argo": {"almanac-pipeline", "almanac-pipeline-executor"},
    "training": {"almanac-pipeline-launcher"},
}
"""Accounts of components for pods that a pipeline makes."""

PROBED = {
    "gateway": OPEN_PATHS,
    "monitor": {METRICS_PATH},
    "worker": {METRICS_PATH},
    "mlflow": {"/health"},
    "pushgateway": {"/-/ready", "/-/healthy"},
}
"""Paths that a container answers without a token; those of others as their documents list them."""


def documented_secrets() -> set[tuple[str, str]]:
    """Name and key of every secret in docs/kubernetes.md."""
    text = (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| `([a-z-]+)` \| `([a-z.-]+)` \|", text, flags=re.MULTILINE))


def secret_keys(pods: PodTemplate) -> set[tuple[str, str]]:
    found = set()
    for container in pods.containers:
        for variable in container.get("env", ()):
            if "secretKeyRef" in (source := variable.get("valueFrom", {})):
                found.add((source["secretKeyRef"]["name"], source["secretKeyRef"]["key"]))
        assert "envFrom" not in container, "keys are named one by one"
    for volume in pods.spec.get("volumes", ()):
        if "secret" in volume:
            found |= {(volume["secret"]["secretName"], item["key"]) for item in volume["secret"]["items"]}
    return found


@pytest.mark.parametrize("name", RENDERED)
def test_every_key_of_a_secret_is_documented(name):
    asked = {key for pods in pod_templates(rendered(name)) for key in secret_keys(pods)}
    for monitor in of_kind(rendered(name), "ServiceMonitor"):
        for endpoint in monitor["spec"]["endpoints"]:
            if "authorization" in endpoint:
                credentials = endpoint["authorization"]["credentials"]
                asked.add((credentials["name"], credentials["key"]))
    for config in of_kind(rendered(name), "AlertmanagerConfig"):
        hook = config["spec"]["receivers"][0]["webhookConfigs"][0]
        credentials = hook["httpConfig"]["authorization"]["credentials"]
        asked.add((credentials["name"], credentials["key"]))
    assert ("almanac-postgresql", "password") in asked
    assert asked <= documented_secrets()


@pytest.mark.parametrize("name", RENDERED)
def test_every_config_map_that_is_asked_for_has_the_key(name):
    documents = rendered(name)
    maps = {one["metadata"]["name"]: set(one["data"]) for one in of_kind(documents, "ConfigMap")}
    asked = 0
    for pods in pod_templates(documents):
        for container in pods.containers:
            for variable in container.get("env", ()):
                if "configMapKeyRef" in (source := variable.get("valueFrom", {})):
                    reference = source["configMapKeyRef"]
                    assert reference["key"] in maps[reference["name"]], pods.owner
                    asked += 1
        for volume in pods.spec["volumes"]:
            if "configMap" in volume:
                assert volume["configMap"]["name"] in maps, pods.owner
                asked += 1
    assert asked >= 6


@pytest.mark.parametrize("name", RENDERED)
def test_files_that_containers_are_told_to_read_are_mounted(name):
    documents = rendered(name)
    maps = {one["metadata"]["name"]: set(one["data"]) for one in of_kind(documents, "ConfigMap")}
    seen = set()
    for pods in pod_templates(documents):
        volumes = {volume["name"]: volume for volume in pods.spec["volumes"]}
        for container in pods.containers:
            mounts = {mount["mountPath"]: volumes.get(mount["name"]) for mount in container["volumeMounts"]}
            for path in re.findall(r"/(?:etc|run/secrets)/almanac/[\w.-]+", str(container)):
                folder, _, file = path.rpartition("/")
                source = mounts[folder]
                if "configMap" in source:
                    assert file in maps[source["configMap"]["name"]], path
                else:
                    assert file in {item["path"] for item in source["secret"]["items"]}, path
                seen.add(path)
    assert {"/etc/almanac/almanac.yaml", "/etc/almanac/ready.sh", "/run/secrets/almanac/tokens"} <= seen


@pytest.mark.parametrize("name", RENDERED)
def test_mounts_name_volumes_volumes_are_mounted_and_claims_exist(name):
    documents = rendered(name)
    claims = {one["metadata"]["name"] for one in of_kind(documents, "PersistentVolumeClaim")}
    used = set()
    for pods in pod_templates(documents):
        made = [one for one in documents if one["metadata"]["name"] == pods.owner and one["kind"] == pods.kind]
        assert len(made) == 1 or pods.kind == "FlinkDeployment"
        own = {one["metadata"]["name"] for here in made for one in here["spec"].get("volumeClaimTemplates", ())}
        declared = {volume["name"] for volume in pods.spec["volumes"]} | own
        mounted = {mount["name"] for container in pods.containers for mount in container["volumeMounts"]}
        assert mounted == declared, pods.owner
        asked = {
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pods.spec["volumes"]
            if "persistentVolumeClaim" in volume
        }
        assert asked <= claims, pods.owner
        used |= asked
        for volume in pods.spec["volumes"]:
            assert "sizeLimit" in volume.get("emptyDir", {"sizeLimit": None}), pods.owner
    assert used == claims


@pytest.mark.parametrize("name", RENDERED)
def test_every_service_reaches_pods_at_ports_that_they_open(name):
    documents = rendered(name)
    reached = set()
    for service in of_kind(documents, "Service"):
        if service["spec"].get("type") == "ExternalName":
            continue
        targets = [
            one for one in pod_templates(documents) if selects({"matchLabels": service["spec"]["selector"]}, one.labels)
        ]
        assert [one.owner for one in targets] == [service["metadata"]["name"]]
        opened = {port["name"]: port["containerPort"] for port in targets[0].spec["containers"][0]["ports"]}
        for port in service["spec"]["ports"]:
            assert opened[port["targetPort"]] == port["port"], service["metadata"]["name"]
        reached.add(targets[0].owner)
    opening = {one.owner for one in pod_templates(documents) if any("ports" in box for box in one.spec["containers"])}
    assert reached == opening


@pytest.mark.parametrize("name", RENDERED)
def test_probes_ask_ports_and_paths_that_are_there(name):
    probed = 0
    for pods in pod_templates(rendered(name)):
        for container in pods.spec["containers"]:
            ports = {port["name"] for port in container.get("ports", ())}
            numbers = {port["containerPort"] for port in container.get("ports", ())}
            if ports:
                assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container), pods.owner
            for key in ("startupProbe", "readinessProbe", "livenessProbe"):
                probe = container.get(key, {})
                if "httpGet" in probe:
                    assert probe["httpGet"]["port"] in ports
                    assert probe["httpGet"]["path"] in PROBED[container["name"]]
                if "tcpSocket" in probe:
                    assert probe["tcpSocket"]["port"] in ports
                if "grpc" in probe:
                    assert probe["grpc"]["port"] in numbers
                    assert "--enable_grpc_healthcheck_service" in container["args"]
                probed += bool(probe)
    assert probed >= 15


@pytest.mark.parametrize("name", RENDERED)
def test_each_workload_has_an_account_of_its_own_without_a_token_or_a_right(name):
    documents = rendered(name)
    accounts = {one["metadata"]["name"]: one for one in of_kind(documents, "ServiceAccount")}
    owners = [pods.spec["serviceAccountName"] for pods in pod_templates(documents)]
    if name == "flink":
        owners.remove("flink")  # one account for both kinds of pods of a FlinkDeployment
    of_steps = OF_STEPS.get(name, set())
    assert sorted(owners) == sorted(set(accounts) - of_steps)
    assert of_steps <= set(accounts)
    assert all(one["automountServiceAccountToken"] is False for one in accounts.values())
    assert all(pods.spec["automountServiceAccountToken"] is False for pods in pod_templates(documents))
    if name not in OF_STEPS:
        assert of_kind(documents, "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding") == []


@pytest.mark.parametrize("name", RENDERED)
def test_selectors_of_workloads_take_their_own_pods_alone(name):
    documents = rendered(name)
    for one in of_kind(documents, "Deployment", "StatefulSet"):
        taken = [pods.owner for pods in pod_templates(documents) if selects(one["spec"]["selector"], pods.labels)]
        assert taken == [one["metadata"]["name"]]
        for spread in one["spec"]["template"]["spec"].get("topologySpreadConstraints", ()):
            assert selects(spread["labelSelector"], one["spec"]["template"]["metadata"]["labels"])


@pytest.mark.parametrize("name", RENDERED)
def test_what_scales_has_a_target_and_never_two_scalers(name):
    documents = rendered(name)
    deployments = {one["metadata"]["name"]: one for one in of_kind(documents, "Deployment", "InferenceService")}
    scaled = []
    for one in of_kind(documents, "HorizontalPodAutoscaler", "ScaledObject"):
        target = one["spec"]["scaleTargetRef"]
        assert target["kind"] == deployments[target["name"]]["kind"]
        scaled.append(target["name"])
        lowest = one["spec"].get("minReplicas", one["spec"].get("minReplicaCount"))
        assert lowest >= deployments[target["name"]]["spec"]["replicas"] >= 2
    assert len(scaled) == len(set(scaled))


@pytest.mark.parametrize("name", RENDERED)
def test_a_budget_lets_a_node_be_drained_and_keeps_a_replica(name):
    documents = rendered(name)
    for budget in of_kind(documents, "PodDisruptionBudget"):
        (pods,) = [one for one in pod_templates(documents) if selects(budget["spec"]["selector"], one.labels)]
        (owner,) = [one for one in of_kind(documents, pods.kind) if one["metadata"]["name"] == pods.owner]
        replicas = owner["spec"].get("replicas") or owner["spec"]["predictor"]["minReplicas"]
        assert budget["spec"]["maxUnavailable"] < replicas
    single = {one["metadata"]["name"] for one in of_kind(rendered("dev"), "PodDisruptionBudget")}
    assert single == set()


@pytest.mark.parametrize("name", ["staging", "prod", "monitoring"])
def test_prometheus_finds_every_page_of_metrics(name):
    documents = rendered(name)
    paths = {}
    for monitor in of_kind(documents, "ServiceMonitor"):
        (service,) = [
            one
            for one in of_kind(documents, "Service")
            if selects(monitor["spec"]["selector"], one["metadata"]["labels"])
        ]
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
        paths[service["metadata"]["name"]] = endpoint["path"]
    assert paths == {
        "gateway": METRICS_PATH,
        "model-server": MODEL_SERVER_METRICS_PATH,
        "monitor": METRICS_PATH,
        "worker": METRICS_PATH,
        "pushgateway": METRICS_PATH,
    }


@pytest.mark.parametrize("name", ["staging", "prod", "monitoring"])
def test_alertmanager_reaches_the_gateway_in_its_namespace(name):
    (config,) = of_kind(rendered(name), "AlertmanagerConfig")
    namespace = config["metadata"]["namespace"]
    gateway = named(rendered(name), "Service", "gateway")
    port = next(one["port"] for one in gateway["spec"]["ports"] if one["name"] == "http")
    url = config["spec"]["receivers"][0]["webhookConfigs"][0]["url"]
    assert url == f"http://gateway.{namespace}.svc:{port}/v1/alerts"


@pytest.mark.parametrize("name", ["staging", "prod", "monitoring"])
def test_rules_and_dashboards_are_those_that_are_tested(name):
    documents = rendered(name)
    tested = {
        path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in (ROOT / "infra/prometheus/rules").glob("*.yml")
    }
    loaded = {
        one["metadata"]["name"].removeprefix("almanac-"): one["spec"] for one in of_kind(documents, "PrometheusRule")
    }
    assert loaded == tested
    boards = {
        path.name: path.read_text(encoding="utf-8") for path in (ROOT / "infra/grafana/dashboards").glob("*.json")
    }
    shown = {
        file: text
        for one in of_kind(documents, "ConfigMap")
        if one["metadata"]["labels"].get("grafana_dashboard") == "1"
        for file, text in one["data"].items()
    }
    assert shown == boards
