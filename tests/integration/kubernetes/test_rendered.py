"""Every overlay and component renders, in one namespace, without a name twice, an image that floats or a secret in the text."""

import re
from collections import Counter

import pytest
import yaml

from tests.contract.dockerfile import read_dockerfile
from tests.integration.kubernetes.rendering import (
    COMPONENTS,
    OVERLAYS,
    RENDERED,
    ROOT,
    named,
    of_kind,
    pod_templates,
    rendered,
    rendered_overlay,
    rendered_text,
)

pytestmark = pytest.mark.services
WORKLOADS = {"forecasts", "gateway", "mlflow", "model-server", "monitor", "pushgateway", "worker"}


def test_the_overlays_and_components_are_those_that_are_documented():
    assert set(OVERLAYS) == {"dev", "staging", "prod"}
    assert {
        "argo",
        "flink",
        "gpu",
        "keda",
        "kserve",
        "monitoring",
        "object-store",
        "postgres",
        "signed",
        "training",
    } == set(COMPONENTS)


@pytest.mark.parametrize("name", RENDERED)
def test_it_renders_with_every_workload_once(name):
    owners = [one.owner for one in pod_templates(rendered(name))]
    assert set(owners) >= WORKLOADS
    assert len(owners) == len(set(owners))
    keys = Counter((one["apiVersion"], one["kind"], one["metadata"]["name"]) for one in rendered(name))
    assert [key for key, count in keys.items() if count > 1] == []


@pytest.mark.parametrize("name", RENDERED)
def test_everything_is_in_one_namespace_that_is_restricted(name):
    documents = rendered(name)
    (namespace,) = of_kind(documents, "Namespace")
    labels = namespace["metadata"]["labels"]
    for mode in ("enforce", "warn", "audit"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
        assert re.fullmatch(r"v1\.\d+", labels[f"pod-security.kubernetes.io/{mode}-version"])
    inside = {one["metadata"].get("namespace") for one in documents if one["kind"] != "Namespace"}
    assert inside == {namespace["metadata"]["name"]}


@pytest.mark.parametrize("name", RENDERED)
def test_every_resource_and_pod_says_what_it_belongs_to(name):
    for one in rendered(name):
        assert one["metadata"]["labels"]["app.kubernetes.io/name"] == "almanac", one["metadata"]["name"]
    for pods in pod_templates(rendered(name)):
        assert pods.labels["app.kubernetes.io/part-of"] == "almanac", pods.owner


@pytest.mark.parametrize("name", RENDERED)
def test_images_have_a_version_and_ours_are_targets_of_the_dockerfile(name):
    stages = read_dockerfile()
    for pods in pod_templates(rendered(name)):
        for container in pods.containers:
            assert re.fullmatch(r"[\w./-]+(:v?\d[\w.-]*|@sha256:[0-9a-f]{64})", container["image"]), container["image"]
            repository = container["image"].rpartition(":")[0]
            if "almanac/" in repository:
                assert repository.rpartition("/")[2] in stages


@pytest.mark.parametrize("name", RENDERED)
def test_no_secret_is_in_the_manifests(name):
    for secret in of_kind(rendered(name), "Secret"):
        # A token that the cluster fills in.
        assert secret["type"] == "kubernetes.io/service-account-token"
        assert not {"data", "stringData"} & set(secret)
    assert re.search(r"(?i)password:\s*\S+", rendered_text(name).replace("POSTGRES_PASSWORD: ", "")) is None


def test_production_asks_your_registry_and_spreads_over_zones():
    for pods in pod_templates(rendered("prod")):
        for container in pods.containers:
            assert "almanac/" not in container["image"] or container["image"].startswith("registry.example.org/")
    for name in ("gateway", "model-server"):
        deployment = named(rendered("prod"), "Deployment", name)
        assert deployment["spec"]["replicas"] == 3
        zones = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"][1]
        assert (zones["topologyKey"], zones["whenUnsatisfiable"]) == ("topology.kubernetes.io/zone", "DoNotSchedule")


def test_training_gets_a_gpu_only_from_its_component():
    worker = named(rendered("gpu"), "Deployment", "worker")["spec"]["template"]["spec"]
    assert worker["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert worker["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert "nvidia.com/gpu" not in rendered_text("staging")


def test_kserve_runs_the_pods_of_the_deployment():
    service = named(rendered("kserve"), "InferenceService", "model-server")["spec"]["predictor"]
    pods = named(rendered("staging"), "Deployment", "model-server")["spec"]["template"]
    (container,) = service["containers"]
    assert container["name"] == "kserve-container"
    expected = pods["spec"]["containers"][0]
    assert {**container, "name": expected["name"]} == expected
    assert service["labels"] == pods["metadata"]["labels"]
    ours = ("registry.example.org/almanac/", "almanac/")
    for key, value in pods["spec"].items():
        if key != "containers":
            assert str(service[key]) == str(value).replace(*ours), key
    assert [one for one in of_kind(rendered("kserve"), "Deployment") if one["metadata"]["name"] == "model-server"] == []


def test_an_overlay_puts_a_model_of_its_own_in_as_the_document_says(tmp_path):
    text = (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")
    (told,) = re.findall(r"```yaml\n(.*?configMapGenerator.*?)```", text, flags=re.DOTALL)
    generators = yaml.safe_load(told.replace("name=demand", "name=shop"))
    (tmp_path / "almanac.yaml").write_text("name: shop\n", encoding="utf-8")
    documents = tuple(yaml.safe_load_all(rendered_overlay(tmp_path, components=["postgres"], **generators)))
    model, config = named(documents, "ConfigMap", "almanac-model"), named(documents, "ConfigMap", "almanac-config")
    assert (model["data"], config["data"]) == ({"name": "shop"}, {"almanac.yaml": "name: shop\n"})
    asked = {
        volume["configMap"]["name"]
        for pods in pod_templates(documents)
        for volume in pods.spec["volumes"]
        if volume["name"] == "config"
    }
    assert asked == {config["metadata"]["name"]}
