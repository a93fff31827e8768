"""A version whose files are not those that were published is refused, with the word that is counted."""

import json
import os
from pathlib import Path

import pytest

from forecasting.admission.version_files import MAX_MANIFEST_BYTES, check_version_files
from forecasting.errors import ArtifactError, VersionRefusedError
from forecasting.repository import ModelRepository
from forecasting.runtimes.version_model import VersionModel


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """A published version of two files."""
    source = tmp_path / "source"
    (source / "variables").mkdir(parents=True)
    (source / "saved_model.pb").write_bytes(b"graph")
    (source / "variables" / "variables.index").write_bytes(b"index")
    repository = ModelRepository(tmp_path / "models")
    return repository.version_dir("m", repository.publish("m", source))


def _reason(version: Path, *, required: bool = False) -> str:
    with pytest.raises(VersionRefusedError) as refused:
        check_version_files(version, required=required)
    return refused.value.reason


def test_a_version_as_it_was_published_is_admitted(version):
    check_version_files(version, required=True)
    assert json.loads((version / "manifest.json").read_text())["files"].keys() == {
        "saved_model.pb",
        "variables/variables.index",
    }


def test_a_file_of_the_same_length_and_other_bytes_is_refused(version):
    (version / "saved_model.pb").write_bytes(b"GRAPH")
    assert _reason(version) == "altered_file"


def test_a_file_that_is_missing_is_refused(version):
    (version / "variables" / "variables.index").unlink()
    assert _reason(version) == "missing_file"


def test_a_file_that_was_added_is_refused(version):
    (version / "variables" / "evil.so").write_bytes(b"")
    assert _reason(version) == "extra_file"


def test_a_link_is_refused_though_what_it_points_to_is_right(version, tmp_path):
    (tmp_path / "elsewhere").write_bytes(b"graph")
    (version / "saved_model.pb").unlink()
    (version / "saved_model.pb").symlink_to(tmp_path / "elsewhere")
    assert _reason(version) == "link"


def test_a_folder_that_is_a_link_is_refused(version, tmp_path):
    (version / "variables").rename(tmp_path / "variables")
    (version / "variables").symlink_to(tmp_path / "variables")
    assert _reason(version) == "link"


def test_a_pipe_is_refused_and_not_waited_for(version):
    (version / "saved_model.pb").unlink()
    os.mkfifo(version / "saved_model.pb")
    assert _reason(version) == "link"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"schema_version": 1, "files": {}}',
        '{"schema_version": 1, "files": ["saved_model.pb"]}',
        '{"schema_version": 1, "files": {"saved_model.pb": 5}}',
        '{"schema_version": 2, "files": {"saved_model.pb": "0"}}',
        "[" * 100_000,
        " " * (MAX_MANIFEST_BYTES + 1),
    ],
)
def test_a_list_that_is_none_is_refused(version, text):
    (version / "manifest.json").write_text(text)
    assert _reason(version) == "unreadable_manifest"


def test_a_list_that_is_a_link_is_refused(version, tmp_path):
    (version / "manifest.json").rename(tmp_path / "manifest.json")
    (version / "manifest.json").symlink_to(tmp_path / "manifest.json")
    assert _reason(version) == "unreadable_manifest"


def test_a_name_in_the_list_opens_no_file_outside_of_the_version(version, tmp_path):
    document = json.loads((version / "manifest.json").read_text())
    os.mkfifo(tmp_path / "models" / "m" / "outside")  # opening it would wait for ever
    document["files"]["../outside"] = "0" * 64
    (version / "manifest.json").write_text(json.dumps(document))
    assert _reason(version) == "missing_file"


def test_a_version_that_was_made_elsewhere_passes_unless_a_list_is_demanded(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"graph")
    check_version_files(tmp_path)
    assert _reason(tmp_path, required=True) == "no_manifest"


def test_a_step_that_scores_a_version_does_not_load_an_altered_one(version):
    (version / "saved_model.pb").write_bytes(b"GRAPH")
    with pytest.raises(ArtifactError, match="must have the SHA-256"):
        VersionModel(version)
