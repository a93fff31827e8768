"""The component flink: the schema of its operator, the ways between its pods, and workers that the step finds."""

import copy
import itertools
import zipfile
from typing import Any

import jsonschema
import pytest
import yaml

from forecasting.config import parse_config
from tests.integration.kubernetes.rendering import ROOT, named, of_kind, pod_templates, rendered
from tests.integration.kubernetes.test_network import OURS, Peer, lets

pytestmark = pytest.mark.services

JARS = ROOT / ".job-servers/flink-operator"
CRD = "META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml"
OPERATOR = Peer(
    {"app.kubernetes.io/name": "flink-kubernetes-operator"}, {"kubernetes.io/metadata.name": "flink-operator"}
)
REST, RPC, BLOBS, TASK_RPC, TASK_EXCHANGE, WORKERS = 8081, 6123, 6124, 6122, 6121, 50_000
FLINK = ("flink-job-server", "flink-jobmanager", "flink-taskmanager")


def closed(schema: Any) -> Any:
    """The same schema, which takes no field that it does not name."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if isinstance(found.get("properties"), dict) and "x-kubernetes-preserve-unknown-fields" not in found:
        found.setdefault("additionalProperties", False)
    return found


@pytest.fixture(scope="module")
def spec_schema() -> jsonschema.Draft7Validator:
    if not JARS.is_dir():
        pytest.skip(
            "needs Beam's job server for Flink, with the schema of its operator: infra/beam/install-job-servers fetches it"
        )
    (jar,) = JARS.glob("*.jar")
    crd = yaml.safe_load(zipfile.ZipFile(jar).read(CRD))
    (version,) = crd["spec"]["versions"]
    assert (
        f"{crd['spec']['group']}/{version['name']}"
        == named(rendered("flink"), "FlinkDeployment", "flink")["apiVersion"]
    )
    return jsonschema.Draft7Validator(closed(version["schema"]["openAPIV3Schema"]["properties"]["spec"]))


def test_the_operator_knows_every_field(spec_schema):
    (deployment,) = of_kind(rendered("flink"), "FlinkDeployment")
    assert [error.message for error in spec_schema.iter_errors(deployment["spec"])] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [(("modus",), "standalone"), (("mode",), "cluster"), (("taskManager", "podTemplate", "spec", "automount"), False)],
)
def test_the_schema_finds_what_is_wrong(spec_schema, path, value):
    (deployment,) = of_kind(rendered("flink"), "FlinkDeployment")
    wrong = copy.deepcopy(dict(deployment["spec"]))
    place = wrong
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert len(list(spec_schema.iter_errors(wrong))) == 1


def test_pods_of_flink_talk_by_the_ports_of_its_configuration_and_no_others():
    documents = rendered("flink")
    settings = named(documents, "FlinkDeployment", "flink")["spec"]["flinkConfiguration"]
    assert [int(settings[key]) for key in ("taskmanager.rpc.port", "taskmanager.data.port", "blob.server.port")] == [
        TASK_RPC, TASK_EXCHANGE, BLOBS,
    ]  # fmt: skip
    by_owner = {one.owner: one for one in pod_templates(documents)}
    ways = set()
    for asker, target in itertools.product(by_owner.values(), repeat=2):
        for port in (REST, RPC, BLOBS, TASK_RPC, TASK_EXCHANGE, WORKERS):
            out = lets(documents, asker, "egress", Peer(target.labels, OURS), port)
            assert out is lets(documents, target, "ingress", Peer(asker.labels, OURS), port), (
                asker.owner,
                target.owner,
            )
            if out:
                ways.add((asker.owner, target.owner, port))
    assert ways == {
        ("flink-job-server", "flink-jobmanager", REST),
        ("flink-jobmanager", "flink-taskmanager", TASK_RPC),
        ("flink-taskmanager", "flink-jobmanager", RPC),
        ("flink-taskmanager", "flink-jobmanager", BLOBS),
        ("flink-taskmanager", "flink-taskmanager", TASK_EXCHANGE),
    }


def test_the_operator_reaches_the_job_manager_alone():
    documents = rendered("flink")
    ports = (REST, RPC, BLOBS, TASK_RPC, TASK_EXCHANGE, WORKERS, 8_098, 8_099)
    reached = {
        (pods.owner, port)
        for pods in pod_templates(documents)
        for port in ports
        if lets(documents, pods, "ingress", OPERATOR, port)
    }
    assert reached == {("flink-jobmanager", REST)}


def test_the_worker_names_the_job_server_and_the_workers_beside_the_task_managers():
    documents = rendered("flink")
    words = named(documents, "Deployment", "worker")["spec"]["template"]["spec"]["containers"][0]["args"]
    settings = dict(
        word.removeprefix("--set=features.").split("=", 1) for word in words if word.startswith("--set=features.")
    )
    features = {key: yaml.safe_load(value) for key, value in settings.items()}
    config = yaml.safe_load(named(documents, "ConfigMap", "almanac-config")["data"]["almanac.yaml"])
    config["features"] |= features
    parsed = parse_config(config, source="almanac.yaml").features
    assert parsed.beam_runner == "PortableRunner"
    given = dict(option.removeprefix("--").split("=", 1) for option in parsed.beam_options)
    host, port = given["job_endpoint"].split(":")
    service = named(documents, "Service", host)
    assert int(port) in {one["port"] for one in service["spec"]["ports"]}
    (workers,) = [box for pods in pod_templates(documents) for box in pods.containers if box["name"] == "workers"]
    assert workers["command"][-1] == f"--service_port={given['environment_config'].removeprefix('localhost:')}"
    assert given["environment_type"] == "EXTERNAL"


def test_the_job_server_gives_clients_its_service_and_flink_the_same_files_as_the_step():
    documents = rendered("flink")
    (box,) = named(documents, "Deployment", "flink-job-server")["spec"]["template"]["spec"]["containers"]
    given = dict(word.removeprefix("--").split("=", 1) for word in box["args"])
    assert named(documents, "Service", given["job-host"])["spec"]["ports"][0]["port"] == int(given["job-port"])
    assert given["flink-master"] == f"flink-rest:{REST}"
    homes = {}
    for pods in pod_templates(documents):
        for container in pods.containers:
            for mount in container["volumeMounts"]:
                if mount["name"] == "home" and pods.owner in (*FLINK, "worker"):
                    homes[pods.owner, container["name"]] = mount["mountPath"]
    assert set(homes) >= {
        ("worker", "worker"),
        ("flink-taskmanager", "workers"),
        ("flink-taskmanager", "flink-main-container"),
    }
    assert set(homes.values()) == {"/var/lib/almanac"}
    assert given["artifacts-dir"].startswith("/var/lib/almanac/")
