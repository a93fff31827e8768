"""Nothing in the manifests, nor in the templates that `almanac compile` writes for Argo, is more than a restricted pod may be."""

import copy
from typing import Any

import pytest

from tests.integration.kubernetes.compiled import compiled_for_argo
from tests.integration.kubernetes.pod_security import pods_of, violations
from tests.integration.kubernetes.rendering import RENDERED, pod_templates, rendered

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def argo(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What `almanac compile` writes for Argo Workflows, with a schedule."""
    return compiled_for_argo(tmp_path_factory.mktemp("argo") / "pipeline.yaml")


@pytest.mark.parametrize("name", RENDERED)
def test_every_pod_is_restricted(name):
    assert [text for one in rendered(name) for text in violations(one)] == []


@pytest.mark.parametrize("name", RENDERED)
def test_every_container_has_a_read_only_root_a_high_user_and_limits(name):
    for pods in pod_templates(rendered(name)):
        assert pods.spec["securityContext"]["runAsUser"] >= 10_000, pods.owner
        assert pods.spec["enableServiceLinks"] is False
        for container in pods.containers:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            asked, given = container["resources"]["requests"], container["resources"]["limits"]
            assert {"cpu", "memory", "ephemeral-storage"} <= set(asked)
            assert set(asked) == set(given)
            assert asked["memory"] == given["memory"]


def test_the_pods_of_the_compiled_pipeline_are_restricted(argo):
    pods = [place for one in argo for place, _ in pods_of(one)]
    assert len(pods) >= 9
    assert [text for one in argo for text in violations(one)] == []


def test_a_fault_inside_a_template_of_argo_is_found(argo):
    template = next(copy.deepcopy(one) for one in argo if one["kind"] == "WorkflowTemplate")
    pod = next(one for one in template["spec"]["templates"] if "container" in one)
    pod["container"]["securityContext"] = {
        **pod["container"].get("securityContext", {}),
        "allowPrivilegeEscalation": True,
    }
    (found,) = violations(template)
    assert found.endswith("allowPrivilegeEscalation must be false")


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ({"runAsNonRoot": False}, "runAsNonRoot must be true"),
        ({"runAsUser": 0}, "runAsUser must not be 0"),
        ({"privileged": True}, "is privileged"),
        ({"capabilities": {"drop": []}}, "must drop ALL capabilities"),
        ({"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}}, "adds SYS_ADMIN"),
        ({"seccompProfile": {"type": "Unconfined"}}, "seccompProfile must be RuntimeDefault or Localhost"),
    ],
)
def test_a_fault_of_a_container_is_found(fault, text):
    deployment = next(copy.deepcopy(dict(one)) for one in rendered("dev") if one["kind"] == "Deployment")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["securityContext"] = {**container["securityContext"], **fault}
    (found,) = violations(deployment)
    assert found.endswith(text)
