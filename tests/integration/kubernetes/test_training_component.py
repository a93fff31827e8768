"""The component training has the account that a launching step runs as, bound to its role, and a way between workers alone."""

import pytest

from components.launching.job_spec import COMPONENT
from forecasting.config.cluster import ClusterConfig
from pipelines.cluster.argo_pods import LAUNCHER_SUFFIX
from tests.integration.kubernetes.rendering import PodTemplate, of_kind, pod_templates, rendered
from tests.integration.kubernetes.test_network import OURS, Peer, lets

pytestmark = pytest.mark.services

LABELS = {"app.kubernetes.io/name": "almanac", "app.kubernetes.io/component": COMPONENT}
WORKER = PodTemplate("worker", "TrainJob", LABELS, {"containers": []})
PORTS = (2222, 8500, 45_678)


def test_the_account_of_a_launching_step_has_its_role_and_no_other_account_has_it():
    documents = rendered("training")
    account = f"{ClusterConfig().service_account}{LAUNCHER_SUFFIX}"
    assert account in {one["metadata"]["name"] for one in of_kind(documents, "ServiceAccount")}
    (role,) = of_kind(documents, "Role")
    (binding,) = of_kind(documents, "RoleBinding")
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert [(one["name"], one["namespace"]) for one in binding["subjects"]] == [
        (account, role["metadata"]["namespace"])
    ]
    assert of_kind(documents, "ClusterRole", "ClusterRoleBinding") == []


@pytest.mark.parametrize("port", PORTS)
def test_workers_reach_each_other_at_every_port(port):
    documents, peer = rendered("training"), Peer(LABELS, OURS)
    assert lets(documents, WORKER, "egress", peer, port)
    assert lets(documents, WORKER, "ingress", peer, port)


@pytest.mark.parametrize("port", PORTS)
def test_workers_reach_nobody_else_and_nobody_else_reaches_them(port):
    documents = rendered("training")
    others = [Peer(one.labels, OURS) for one in pod_templates(documents)]
    others.append(Peer(LABELS, {"kubernetes.io/metadata.name": "somebody-else"}))
    assert len(others) > 7
    for peer in others:
        assert not lets(documents, WORKER, "egress", peer, port), peer
        assert not lets(documents, WORKER, "ingress", peer, port), peer


def test_without_the_component_workers_do_not_reach_each_other():
    assert not lets(rendered("argo"), WORKER, "egress", Peer(LABELS, OURS), 2222)
