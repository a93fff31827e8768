"""checkov finds nothing in any rendered manifest but what infra/checks/checkov.yaml names with its reason."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.kubernetes.rendering import RENDERED, ROOT, rendered_text

pytestmark = pytest.mark.services
CHECKOV = ROOT / ".checks/bin/checkov"


def findings(folder: Path) -> dict[str, list[str]]:
    """Failed checks by file, and how many passed in all."""
    assert CHECKOV.exists(), f"{CHECKOV} must exist; run infra/install-checks"
    done = subprocess.run(
        [
            str(CHECKOV),
            "--directory",
            str(folder),
            "--config-file",
            str(ROOT / "infra/checks/checkov.yaml"),
            "--output=json",
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CHECKOV_RUN_SCA_PACKAGE_SCAN": "false"},
    )
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 500
    failed: dict[str, list[str]] = {}
    for one in report["results"]["failed_checks"]:
        failed.setdefault(Path(one["file_path"]).name, []).append(f"{one['check_id']} {one['resource']}")
    return failed


def test_checkov_has_no_open_finding_and_finds_what_is_planted(tmp_path):
    for name in RENDERED:
        (tmp_path / f"{name}.yaml").write_text(rendered_text(name), encoding="utf-8")
    planted = rendered_text("dev").replace("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false")
    (tmp_path / "planted.yaml").write_text(planted, encoding="utf-8")
    failed = findings(tmp_path)
    assert set(failed) == {"planted.yaml"}
    assert {one.partition(" ")[0] for one in failed["planted.yaml"]} == {"CKV_K8S_22"}
