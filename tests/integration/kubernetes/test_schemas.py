"""Every resource against the schema of its kind: those of Kubernetes strictly, those of operators by their CRDs."""

import copy
import json
import subprocess

import jsonschema
import pytest

from tests.integration.kubernetes.rendering import RENDERED, ROOT, Document, rendered

pytestmark = pytest.mark.services

SCHEMAS = ROOT.parent / "shared" / "schemas"
CHECKS = ROOT / ".checks/bin/python"
OPERATORS = ("monitoring.coreos.com/", "keda.sh/", "serving.kserve.io/", "flink.apache.org/")
"""Groups of resources that are not of Kubernetes itself."""
UNCHECKED = {"AlertmanagerConfig"}
"""Kinds without a schema here; docs/kubernetes.md lists them."""
ELSEWHERE = {"FlinkDeployment"}
"""Kinds that test_flink_component.py holds against the CRD as its operator publishes it."""
VERSIONS = ("1.32", "1.37")


def is_core(document: Document) -> bool:
    return not document["apiVersion"].startswith(OPERATORS)


def core_errors(documents: list[Document], version: str) -> list[str]:
    assert CHECKS.exists(), f"{CHECKS} must exist; run infra/install-checks"
    done = subprocess.run(
        [str(CHECKS), str(ROOT / "tests/integration/kubernetes/core_schemas.py"), version],
        input=json.dumps(documents),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def operator_errors(documents: list[Document]) -> list[str]:
    found = []
    for one in documents:
        group, _, version = one["apiVersion"].partition("/")
        file = SCHEMAS / f"{one['kind'].lower()}-{group}-{version}.json"
        validator = jsonschema.Draft7Validator(json.loads(file.read_text(encoding="utf-8")))
        found += [f"{one['kind']}/{one['metadata']['name']}: {error.message}" for error in validator.iter_errors(one)]
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_the_strict_schemas_of_kubernetes_accept_all(version):
    core = [one for name in RENDERED for one in rendered(name) if is_core(one)]
    assert len(core) >= 30 * len(RENDERED)
    assert core_errors(core, version) == []


def test_the_strict_schemas_find_what_is_wrong():
    (deployment,) = [
        one for one in rendered("dev") if one["metadata"]["name"] == "gateway" and one["kind"] == "Deployment"
    ]
    wrong = copy.deepcopy(dict(deployment))
    wrong["spec"]["replicaz"] = 1
    assert len(core_errors([wrong], "1.32")) == 1
    assert len(core_errors([{**deployment, "apiVersion": "apps/v1beta1"}], "1.32")) == 1


@pytest.mark.skipif(not SCHEMAS.is_dir(), reason="needs ../shared: schemas of the resources of operators")
@pytest.mark.parametrize("name", RENDERED)
def test_the_schemas_of_the_operators_accept_all(name):
    own = [one for one in rendered(name) if not is_core(one) and one["kind"] not in UNCHECKED | ELSEWHERE]
    assert operator_errors(own) == []


@pytest.mark.skipif(not SCHEMAS.is_dir(), reason="needs ../shared: schemas of the resources of operators")
def test_the_schemas_of_the_operators_find_what_is_wrong():
    (monitor,) = [
        one for one in rendered("staging") if one["kind"] == "ServiceMonitor" and one["metadata"]["name"] == "gateway"
    ]
    wrong = copy.deepcopy(dict(monitor))
    wrong["spec"]["endpoints"][0]["scrapeTimeout"] = "10 seconds"
    assert len(operator_errors([wrong])) == 1


@pytest.mark.skipif(not SCHEMAS.is_dir(), reason="needs ../shared: schemas of the resources of operators")
def test_kinds_without_a_schema_are_those_that_are_documented():
    without = set()
    for name in RENDERED:
        for one in rendered(name):
            group, _, version = one["apiVersion"].partition("/")
            if not is_core(one) and not (SCHEMAS / f"{one['kind'].lower()}-{group}-{version}.json").exists():
                without.add(one["kind"])
    assert without == UNCHECKED | ELSEWHERE
    text = (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")
    assert all(f"`{kind}`" in text for kind in UNCHECKED)
