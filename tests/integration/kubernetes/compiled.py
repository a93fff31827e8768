"""What `almanac compile` writes for Argo Workflows."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.integration.kubernetes.rendering import ROOT


def compiled_for_argo(file: Path) -> list[dict[str, Any]]:
    """ConfigMap, WorkflowTemplate and CronWorkflow of the electricity example."""
    command = [
        sys.executable, "-m", "pipelines.cli", "compile", "-c", str(ROOT / "pipelines/configs/electricity.yaml"), "--format", "argo",
        "--allow-tags", "--set", "retraining.schedule=0 3 * * 1", "-o", str(file),
    ]  # fmt: skip
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
