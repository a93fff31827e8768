"""The golden files of launched resources: `python -m tests.unit.launching.golden_jobs` writes them."""

from pathlib import Path
from typing import Any

import yaml

from components.launching.job_spec import JobSpec, LaunchSpec
from components.launching.manifests import job_documents
from forecasting.config.cluster import ClusterConfig
from tests.unit.launching.fake_kubernetes import WORKFLOW

GOLDEN = Path(__file__).parent / "golden"
IMAGE = "registry.example/almanac/trainer@sha256:" + "0" * 64
SETTINGS: dict[str, Any] = {
    "secrets": {"ALMANAC_DB_PASSWORD": {"secret": "almanac-db", "key": "password"}},
    "resources": {
        "train_model": {
            "cpu": "8", "memory": "32Gi", "gpu": 2, "node_selector": {"pool": "gpu"}, "timeout": "12h",
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        }
    },
}  # fmt: skip
TRAINING = {"workers": 2, "gang": "volcano", "queue": "night", "priority_class": "batch"}


def golden_text(launcher: str) -> str:
    """Resources of two workers with two GPUs each, started together, as YAML."""
    cluster = ClusterConfig.model_validate({**SETTINGS, "training": {"launcher": launcher, **TRAINING}})
    spec = JobSpec(
        LaunchSpec(cluster, IMAGE), "demand", "almanac-demand-1", "0" * 64,
        "/var/lib/almanac/runs/almanac-demand-1/checkpoints/train_model/launched/call.json", WORKFLOW,
    )  # fmt: skip
    return yaml.safe_dump_all(job_documents(spec), sort_keys=False, width=120)


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for launcher in ("tfjob", "trainjob"):
        (GOLDEN / f"{launcher}.yaml").write_text(golden_text(launcher), encoding="utf-8")
