"""The component argo has what the compiled pipeline asks its namespace for, and no more rights than that."""

from typing import Any

import pytest

from tests.integration.kubernetes.compiled import compiled_for_argo
from tests.integration.kubernetes.rendering import PodTemplate, named, of_kind, pod_templates, rendered
from tests.integration.kubernetes.test_network import OURS, Peer, lets

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    documents = compiled_for_argo(tmp_path_factory.mktemp("argo") / "pipeline.yaml")
    (found,) = [one for one in documents if one["kind"] == "WorkflowTemplate"]
    return found


def test_accounts_namespace_and_claim_of_the_compiled_pipeline_are_there(template):
    documents, spec = rendered("argo"), template["spec"]
    accounts = {one["metadata"]["name"] for one in of_kind(documents, "ServiceAccount")}
    assert {spec["serviceAccountName"], spec["executor"]["serviceAccountName"]} <= accounts
    token = named(documents, "Secret", f"{spec['executor']['serviceAccountName']}.service-account-token")
    assert (
        token["metadata"]["annotations"]["kubernetes.io/service-account.name"] == spec["executor"]["serviceAccountName"]
    )
    (namespace,) = of_kind(documents, "Namespace")
    assert template["metadata"]["namespace"] == namespace["metadata"]["name"]
    claims = {one["persistentVolumeClaim"]["claimName"] for one in spec["volumes"] if "persistentVolumeClaim" in one}
    assert claims
    assert claims <= {one["metadata"]["name"] for one in of_kind(documents, "PersistentVolumeClaim")}


def test_the_executor_may_report_what_became_of_a_step_and_nothing_else():
    documents = rendered("argo")
    (role,) = of_kind(documents, "Role")
    (binding,) = of_kind(documents, "RoleBinding")
    assert role["rules"] == [
        {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}
    ]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert [(one["name"], one["namespace"]) for one in binding["subjects"]] == [
        ("almanac-pipeline-executor", role["metadata"]["namespace"])
    ]
    assert of_kind(documents, "ClusterRole", "ClusterRoleBinding") == []


def test_steps_reach_database_mlflow_and_pushgateway_alone(template):
    documents = rendered("argo")
    labels = template["spec"]["podMetadata"]["labels"]
    steps = PodTemplate("pipeline", "WorkflowTemplate", labels, {"containers": []})
    reached = set()
    for target in pod_templates(documents):
        for port in [one["containerPort"] for box in target.spec["containers"] for one in box.get("ports", ())]:
            out = lets(documents, steps, "egress", Peer(target.labels, OURS), port)
            assert out is lets(documents, target, "ingress", Peer(labels, OURS), port), target.owner
            if out:
                reached.add((target.owner, port))
    assert reached == {("postgresql", 5432), ("mlflow", 5000), ("pushgateway", 9091)}


def test_no_service_takes_a_step_for_one_of_its_pods(template):
    labels = template["spec"]["podMetadata"]["labels"]
    for service in of_kind(rendered("argo"), "Service"):
        selector = service["spec"]["selector"]
        assert any(labels.get(key) != value for key, value in selector.items()), service["metadata"]["name"]
