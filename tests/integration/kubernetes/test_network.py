"""Who may talk to whom: all that a manifest makes a pod ask is let through at both ends, and nothing else is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from tests.integration.kubernetes.rendering import (
    RENDERED,
    Document,
    PodTemplate,
    named,
    of_kind,
    pod_templates,
    rendered,
    selects,
)

pytestmark = pytest.mark.services

USED_CONFIGURATION = {"monitor": {"store"}, "worker": {"store", "data", "tracking"}, "forecasts": {"store", "batch"}}
"""Sections of almanac.yaml whose addresses a workload asks."""
ALLOWED = {
    ("gateway", "model-server", 8500),
    ("gateway", "postgresql", 5432),
    ("monitor", "postgresql", 5432),
    ("worker", "postgresql", 5432),
    ("worker", "mlflow", 5000),
    ("worker", "pushgateway", 9091),
    ("forecasts", "postgresql", 5432),
    ("mlflow", "postgresql", 5432),
}


ALLOWED_TO_FLINK = {("worker", "flink-job-server", 8099), ("worker", "flink-job-server", 8098)}
"""Of the component flink; ports between the pods of Flink are in test_flink_component.py, because the operator declares them."""


@dataclass(frozen=True)
class Peer:
    """One end of a connection: pods of ours, or a namespace of others."""

    pod_labels: Mapping[str, str] | None
    namespace_labels: Mapping[str, str]


OURS: Mapping[str, str] = {"kubernetes.io/metadata.name": "almanac"}


def takes(rule: Mapping[str, Any], peer: Peer) -> bool:
    """Whether one entry of `from` or `to` takes a peer; an address range takes none of ours."""
    if "ipBlock" in rule:
        return False
    in_namespace = (
        selects(rule["namespaceSelector"], peer.namespace_labels)
        if "namespaceSelector" in rule
        else peer.namespace_labels is OURS
    )
    return in_namespace and ("podSelector" not in rule or selects(rule["podSelector"], peer.pod_labels or {}))


def lets(documents: tuple[Document, ...], pods: PodTemplate, direction: str, peer: Peer, port: int) -> bool:
    """Whether a policy of these pods lets a connection through."""
    numbers = {one["name"]: one["containerPort"] for box in pods.spec["containers"] for one in box.get("ports", ())}
    if direction == "egress":
        numbers = {
            one["name"]: one["containerPort"]
            for target in pod_templates(documents)
            if peer.pod_labels is not None and target.labels == peer.pod_labels
            for box in target.spec["containers"]
            for one in box.get("ports", ())
        }
    for policy in of_kind(documents, "NetworkPolicy"):
        if not selects(policy["spec"]["podSelector"], pods.labels):
            continue
        for rule in policy["spec"].get(direction, ()):
            ports = {numbers.get(one["port"], one["port"]) for one in rule.get("ports", ())}
            if (port in ports or "ports" not in rule) and any(
                takes(one, peer) for one in rule["from" if direction == "ingress" else "to"]
            ):
                return True
    return False


def asked_addresses(documents: tuple[Document, ...], pods: PodTemplate) -> set[tuple[str, int]]:
    """Service and port of every address in the words, variables and configuration of a workload."""
    services = {one["metadata"]["name"]: one for one in of_kind(documents, "Service")}
    config = yaml.safe_load(named(documents, "ConfigMap", "almanac-config")["data"]["almanac.yaml"])
    words = [str(box.get("args", "")) + str(box.get("env", "")) for box in pods.spec["containers"]]
    words += [str(config[section]) for section in USED_CONFIGURATION.get(pods.owner, ())]
    found = set()
    for name, port in re.findall(r"(?:@|//[/]?)([a-z-]+)(?::(\d+))?(?=[/'\"\s]|$)", " ".join(words)):
        if name in services and name != pods.owner:
            found.add((name, int(port or 5432)))
    return found


@pytest.mark.parametrize("name", RENDERED)
def test_nothing_is_let_through_unless_a_policy_says_so(name):
    (policy,) = [one for one in of_kind(rendered(name), "NetworkPolicy") if one["spec"]["podSelector"] == {}
                 and set(one["spec"]["policyTypes"]) == {"Ingress", "Egress"}]  # fmt: skip
    assert "ingress" not in policy["spec"]
    assert "egress" not in policy["spec"]


@pytest.mark.parametrize("name", RENDERED)
def test_every_pod_can_look_up_names_and_nothing_else_of_the_system(name):
    dns = Peer({"k8s-app": "kube-dns"}, {"kubernetes.io/metadata.name": "kube-system"})
    for pods in pod_templates(rendered(name)):
        assert lets(rendered(name), pods, "egress", dns, 53), pods.owner
        assert not lets(rendered(name), pods, "egress", dns, 443), pods.owner
        other = Peer({"k8s-app": "metrics-server"}, {"kubernetes.io/metadata.name": "kube-system"})
        assert not lets(rendered(name), pods, "egress", other, 53), pods.owner


@pytest.mark.parametrize("name", RENDERED)
def test_what_a_workload_asks_is_let_out_there_and_in_here(name):
    documents = rendered(name)
    by_owner = {one.owner: one for one in pod_templates(documents)}
    asked = {(pods.owner, *address) for pods in by_owner.values() for address in asked_addresses(documents, pods)}
    assert asked == ALLOWED
    for asker, target, port in asked:
        if target not in by_owner:
            continue
        assert lets(documents, by_owner[asker], "egress", Peer(by_owner[target].labels, OURS), port), (asker, target)
        assert lets(documents, by_owner[target], "ingress", Peer(by_owner[asker].labels, OURS), port), (asker, target)


@pytest.mark.parametrize("name", RENDERED)
def test_no_pod_reaches_a_port_of_ours_that_it_has_no_business_with(name):
    documents = rendered(name)
    all_pods = list(pod_templates(documents))
    open_ways = set()
    for asker in all_pods:
        for target in all_pods:
            for port in [one["containerPort"] for box in target.spec["containers"] for one in box.get("ports", ())]:
                out = lets(documents, asker, "egress", Peer(target.labels, OURS), port)
                into = lets(documents, target, "ingress", Peer(asker.labels, OURS), port)
                if out or into:
                    open_ways.add((asker.owner, target.owner, port))
    expected = ALLOWED if "postgresql" in {one.owner for one in all_pods} else {
        way for way in ALLOWED if way[1] != "postgresql"
    }  # fmt: skip
    if name == "flink":
        expected = expected | ALLOWED_TO_FLINK
    assert open_ways == expected


@pytest.mark.parametrize("name", RENDERED)
def test_prometheus_and_labelled_namespaces_come_in_others_do_not(name):
    documents = rendered(name)
    prometheus = Peer({"app": "prometheus"}, {"kubernetes.io/metadata.name": "monitoring"})
    client = Peer({"app": "shop"}, {"kubernetes.io/metadata.name": "shop", "almanac-client": "true"})
    stranger = Peer({"app": "shop"}, {"kubernetes.io/metadata.name": "shop"})
    scraped, answered = set(), set()
    for pods in pod_templates(documents):
        for port in [one["containerPort"] for box in pods.spec["containers"] for one in box.get("ports", ())]:
            if lets(documents, pods, "ingress", prometheus, port):
                scraped.add((pods.owner, port))
            if lets(documents, pods, "ingress", client, port):
                answered.add((pods.owner, port))
            assert not lets(documents, pods, "ingress", stranger, port), pods.owner
    assert scraped == {
        ("gateway", 8080),
        ("model-server", 8501),
        ("monitor", 9102),
        ("worker", 9103),
        ("pushgateway", 9091),
    }
    assert answered == {("gateway", 8080), ("gateway", 8090)}


def test_production_reaches_its_database_and_its_object_store_and_no_other_address():
    ranges = {
        (policy["metadata"]["name"], peer["ipBlock"]["cidr"], port["port"])
        for policy in of_kind(rendered("prod"), "NetworkPolicy")
        for rule in policy["spec"].get("egress", ())
        for peer in rule["to"]
        if "ipBlock" in peer
        for port in rule["ports"]
    }
    databases = {(name, "10.0.0.0/8", 5432) for name in ("forecasts", "gateway", "mlflow", "monitor", "worker")}
    stores = {(name, "0.0.0.0/0", 443) for name in ("forecasts", "gateway", "model-server", "monitor", "worker")}
    assert ranges == databases | stores
    for policy in of_kind(rendered("prod"), "NetworkPolicy"):
        for rule in policy["spec"].get("egress", ()):
            for peer in rule["to"]:
                if peer.get("ipBlock", {}).get("cidr") == "0.0.0.0/0":
                    assert {"10.0.0.0/8", "169.254.0.0/16"} <= set(peer["ipBlock"]["except"])
