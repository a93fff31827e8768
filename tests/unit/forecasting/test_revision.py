import subprocess
from pathlib import Path

import pytest

from forecasting import revision
from forecasting.revision import REVISION_VARIABLE, RevisionSpec, code_revision


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout without a commit, that stands for the project's."""
    monkeypatch.delenv(REVISION_VARIABLE, raising=False)
    monkeypatch.setattr(revision, "PROJECT_ROOT", tmp_path)
    git(tmp_path, "init", "--quiet")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=name", "-c", "user.email=name@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_revision_is_the_commit_and_says_whether_files_differ_from_it(checkout: Path) -> None:
    file = checkout / "file.py"
    file.write_text("a = 1")
    git(checkout, "add", "file.py")
    git(checkout, "commit", "--quiet", "--message", "first")
    commit = git(checkout, "rev-parse", "HEAD")
    (checkout / "notes").write_text("not under version control")
    assert code_revision() == RevisionSpec(commit, dirty=False)
    assert code_revision().text == commit
    file.write_text("a = 2")
    assert code_revision() == RevisionSpec(commit, dirty=True)
    assert code_revision().text == f"{commit}-dirty"


def test_a_checkout_without_a_commit_has_no_revision(checkout: Path) -> None:
    (checkout / "file.py").write_text("a = 1")
    git(checkout, "add", "file.py")
    assert code_revision() == RevisionSpec()
    assert code_revision().text == ""


def test_an_image_tells_its_revision_by_a_variable(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REVISION_VARIABLE, "4e19acb")
    assert code_revision().text == "4e19acb"
