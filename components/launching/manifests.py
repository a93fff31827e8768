"""The resources of a launched step: a TFJob, or a TrainJob with a runtime of its own.

Kubeflow Trainer v2 has no runtime for TensorFlow. Its plain policy makes an indexed job with host names, which is all
that TF_CONFIG is made of. A failed worker is never started again by itself: the others wait for nobody, and all of them go on from
the checkpoint when the step is tried again.
"""

import json
from typing import Any

from components.launching.job_spec import KINDS, TF_JOB, TRAIN_JOB, JobKind, JobSpec, LaunchSpec
from components.launching.worker_pod import worker_pod
from forecasting.durations import duration_s
from forecasting.manifests import digest_text

_REPLICATED_JOB = "node"


def job_kind(launch: LaunchSpec) -> JobKind:
    """The kind of resource that the configuration asks for."""
    return KINDS[launch.cluster.training.launcher]


def job_documents(spec: JobSpec) -> list[dict[str, Any]]:
    """The resources, in the order in which they are made; the last one is the job."""
    if job_kind(spec.launch) is TF_JOB:
        return [_tf_job(spec)]
    runtime = _runtime(spec)
    return [runtime, _train_job(spec, runtime["metadata"]["name"])]


def worker_addresses(spec: JobSpec) -> tuple[str, ...]:
    """HOST:PORT of every worker of a TrainJob, as its headless service names them."""
    training = spec.launch.cluster.training
    return tuple(
        f"{spec.name}-{_REPLICATED_JOB}-0-{number}.{spec.name}:{training.port}" for number in range(training.workers)
    )


def _tf_job(spec: JobSpec) -> dict[str, Any]:
    cluster = spec.launch.cluster
    training = cluster.training
    template = {"metadata": {"labels": spec.labels}, "spec": worker_pod(spec, TF_JOB.container)}
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": spec.metadata(spec.name),
        "spec": {
            "successPolicy": "AllWorkers",
            "runPolicy": {
                "activeDeadlineSeconds": duration_s(spec.resources.timeout),
                "backoffLimit": 0,
                # Pods that ended are left until the job goes, for what became of them is read from them.
                "cleanPodPolicy": "None",
                "ttlSecondsAfterFinished": duration_s(cluster.keep_finished),
                **_scheduling(spec),
            },
            "tfReplicaSpecs": {
                "Worker": {"replicas": training.workers, "restartPolicy": "Never", "template": template}
            },
        },
    }


def _scheduling(spec: JobSpec) -> dict[str, Any]:
    training = spec.launch.cluster.training
    if training.gang == "none":
        return {}
    policy = {
        "minAvailable": training.workers,
        "scheduleTimeoutSeconds": duration_s(training.start_deadline),
        **({"queue": training.queue} if training.queue else {}),
        **({"priorityClass": training.priority_class} if training.priority_class else {}),
    }
    return {"schedulingPolicy": policy}


def _runtime(spec: JobSpec) -> dict[str, Any]:
    """Named by its content, so that two attempts never share a name with different pods behind it."""
    runtime = _runtime_spec(spec)
    digest = digest_text(json.dumps(runtime, sort_keys=True))[:8]
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainingRuntime",
        "metadata": spec.metadata(f"{spec.name}-{digest}"),
        "spec": runtime,
    }


def _runtime_spec(spec: JobSpec) -> dict[str, Any]:
    training = spec.launch.cluster.training
    pod = worker_pod(spec, TRAIN_JOB.container, addresses=worker_addresses(spec) if training.workers > 1 else ())
    if training.gang == "volcano":
        pod.setdefault("schedulerName", "volcano")
    job = {
        "activeDeadlineSeconds": duration_s(spec.resources.timeout),
        "backoffLimit": 0,
        "completionMode": "Indexed",
        "template": {"metadata": {"labels": spec.labels}, "spec": pod},
    }
    replicated = {
        "name": _REPLICATED_JOB,
        "replicas": 1,
        # By this label the trainer knows which job has the workers.
        "template": {"metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}}, "spec": job},
    }
    queue = (
        {"metadata": {"annotations": {"scheduling.volcano.sh/queue-name": training.queue}}} if training.queue else {}
    )
    return {
        "mlPolicy": {"numNodes": training.workers},
        **_pod_group(spec),
        "template": {
            **queue,
            "spec": {
                "failurePolicy": {"maxRestarts": 0},
                # A worker looks for the others before they are ready.
                "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
                "replicatedJobs": [replicated],
            },
        },
    }


def _pod_group(spec: JobSpec) -> dict[str, Any]:
    training = spec.launch.cluster.training
    match training.gang:
        case "coscheduling":
            timeout = {"scheduleTimeoutSeconds": duration_s(training.start_deadline)}
            return {"podGroupPolicy": {"coscheduling": timeout}}
        case "volcano":
            return {"podGroupPolicy": {"volcano": {}}}
        case _:
            return {}


def _train_job(spec: JobSpec, runtime: str) -> dict[str, Any]:
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": spec.metadata(spec.name),
        "spec": {
            "runtimeRef": {"apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": runtime},
            "trainer": {"numNodes": spec.launch.cluster.training.workers},
        },
    }
