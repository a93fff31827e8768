"""Pod Security Standards, profile restricted: what a pod may not do, looked for in every pod template of a document."""

from collections.abc import Iterator, Mapping
from typing import Any

Node = Mapping[str, Any]

_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
_HOST = ("hostNetwork", "hostPID", "hostIPC")


def violations(document: Node) -> list[str]:
    """Every violation, with where it is; templates of Argo are pods with their container beside the settings of the pod."""
    found = []
    for place, pod in pods_of(document):
        found += [f"{place}: {text}" for text in _pod_violations(pod)]
        for name, container in _containers(pod):
            found += [f"{place}.{name}: {text}" for text in _container_violations(container, pod)]
    return found


def pods_of(document: Node) -> Iterator[tuple[str, Node]]:
    """Pod specs by where they are."""
    kind, spec = document["kind"], document.get("spec", {})
    name = f"{kind}/{document['metadata'].get('name', document['metadata'].get('generateName'))}"
    if kind == "Pod":
        yield name, spec
    elif kind == "InferenceService":
        yield name, spec["predictor"]
    elif kind == "CronJob":
        yield name, spec["jobTemplate"]["spec"]["template"]["spec"]
    elif kind == "FlinkDeployment":
        for role in ("jobManager", "taskManager"):
            yield f"{name}/{role}", spec[role]["podTemplate"]["spec"]
    elif kind in ("Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow"):
        yield from _argo_pods(name, spec.get("workflowSpec", spec))
    elif isinstance(spec.get("template"), Mapping) and "spec" in spec["template"]:
        yield name, spec["template"]["spec"]


def _argo_pods(name: str, spec: Node) -> Iterator[tuple[str, Node]]:
    shared = {key: spec[key] for key in ("securityContext", *_HOST) if key in spec}
    for template in spec.get("templates", ()):
        if not any(key in template for key in ("container", "script", "containerSet")):
            continue
        main = [template[key] for key in ("container", "script") if key in template]
        containers = main or template["containerSet"]["containers"]
        pod = {
            **shared,
            **{key: template[key] for key in ("securityContext", *_HOST) if key in template},
            "volumes": [*spec.get("volumes", ()), *template.get("volumes", ())],
            "containers": [*containers, *template.get("sidecars", ())],
            "initContainers": template.get("initContainers", ()),
        }
        yield f"{name}/{template.get('name', 'templateDefaults')}", pod


def _containers(pod: Node) -> Iterator[tuple[str, Node]]:
    for key in ("initContainers", "containers", "ephemeralContainers"):
        for container in pod.get(key, ()):
            yield container.get("name", "main"), container


def _pod_violations(pod: Node) -> Iterator[str]:
    for key in _HOST:
        if pod.get(key):
            yield f"{key} is set"
    for volume in pod.get("volumes", ()):
        if kinds := set(volume) - {"name"} - _VOLUMES:
            yield f"volume {volume['name']} is of kind {', '.join(sorted(kinds))}"


def _container_violations(container: Node, pod: Node) -> Iterator[str]:
    own, shared = container.get("securityContext", {}), pod.get("securityContext", {})
    if own.get("privileged"):
        yield "is privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation must be false"
    if own.get("runAsNonRoot", shared.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot must be true"
    if own.get("runAsUser", shared.get("runAsUser")) == 0:
        yield "runAsUser must not be 0"
    seccomp = own.get("seccompProfile", shared.get("seccompProfile", {}))
    if seccomp.get("type") not in ("RuntimeDefault", "Localhost"):
        yield "seccompProfile must be RuntimeDefault or Localhost"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", ()):
        yield "must drop ALL capabilities"
    if added := set(capabilities.get("add", ())) - {"NET_BIND_SERVICE"}:
        yield f"adds {', '.join(sorted(added))}"
    if any("hostPort" in port for port in container.get("ports", ())):
        yield "opens a port of the host"
