"""The page as an HTML artifact: a copy where Kubeflow wants it, and the component that says so."""

from pathlib import Path

from components.reporting.component import report_run
from components.reporting.page_artifact import copy_page


def test_the_page_is_copied_to_where_the_artifact_lies(tmp_path: Path) -> None:
    page = tmp_path / "home" / "runs" / "run-1" / "report_run" / "report.html"
    page.parent.mkdir(parents=True)
    page.write_text("<p>promoted</p>")
    copy_page(str(tmp_path / "home"), "run-1", str(tmp_path / "minio" / "bucket" / "page"))
    assert (tmp_path / "minio" / "bucket" / "page").read_text() == "<p>promoted</p>"


def test_the_component_hands_its_page_to_kubeflow_as_html() -> None:
    outputs = report_run.component_spec.outputs
    assert {name: output.type for name, output in outputs.items()} == {
        "output": "system.Artifact@0.0.1",
        "page": "system.HTML@0.0.1",
    }
