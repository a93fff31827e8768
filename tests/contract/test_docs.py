"""What the documents name exists, their links lead somewhere, and the tree speaks of the project alone."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from forecasting.contracts.steps import StepName

ROOT = Path(__file__).parents[2]
TOP_FOLDERS = ("forecasting", "components", "pipelines", "serving", "infra", "tests", "docs")


def tracked_files() -> list[Path]:
    """Every file that git knows, without pictures."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / name for name in listed.split("\0") if name]
    return [path for path in paths if path.is_file() and path.suffix not in (".png", ".jpg", ".ico", ".parquet")]


def documents() -> list[Path]:
    """README, CHANGELOG and docs."""
    return [path for path in tracked_files() if path.suffix == ".md"]


def prose(path: Path) -> str:
    """A document without its fenced code."""
    return re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """The anchors that headings of a document get on a forge."""
    headings = re.findall(r"^#+ +(.*)$", prose(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        assert linked.exists(), f"{path.name} links to {target}"
        assert not anchor or anchor in anchors(linked), (
            f"{path.name} links to {target}, {linked.name} has no such heading"
        )


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_folders_that_a_document_names_exist(path):
    for span in re.findall(r"`([^`\n]+)`", prose(path)):
        name = span.split("::")[0].split(" ")[0].rstrip("/")
        if name.split("/")[0] not in TOP_FOLDERS or "/" not in span or re.search(r"[<>*{}…A-Z]", span):
            continue
        assert (ROOT / name).exists(), f"{path.name} names {span}"


def syntax_fault(source: str) -> str | None:
    try:
        compile(source, "block", "exec")
    except SyntaxError as error:
        return str(error)
    return None


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_python_of_a_document_compiles(path):
    blocks = re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert [fault for block in blocks if (fault := syntax_fault(block))] == []


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_has_no_place_left_to_fill_in(path):
    assert re.findall(r"\b(?:DEMO_[A-Z]+|TODO|TBD|FIXME)\b", path.read_text(encoding="utf-8")) == []


def test_the_architecture_has_a_place_for_every_folder():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    folders = [folder.name for parent in (ROOT / "forecasting", ROOT / "components", ROOT / "serving")
               for folder in parent.iterdir() if (folder / "__init__.py").is_file()]  # fmt: skip
    missing = [name for name in (*TOP_FOLDERS, *folders) if f"{name}/" not in text and f"`{name}`" not in text]
    assert missing == []


def test_every_decision_record_is_listed_and_says_what_it_must():
    records = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    architecture = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert [record.name[:4] for record in records] == [f"{number:04d}" for number in range(1, len(records) + 1)]
    for record in records:
        headings = re.findall(r"^## (.*)$", record.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences"], record.name
        assert f"adr/{record.name}" in architecture, record.name


# Written in two parts, so that this file does not hold what it looks for.
FOREIGN = {
    "a path of one machine": r"(?<![\w.])/(?:wo" + r"rk|ro" + r"ot|ho" + r"me)/",
    "a package index": r"py" + r"pi\.org|python" + r"hosted\.org|index" + r"-url|find" + r"-links",
    "a number of a tracker": r"\b[Ii]ss" + r"ue #?\d+",
    "a note of another document": r"\b(?:design|facts|house-style)" + r"\.md\b|shared/" + r"docs",
}


@pytest.mark.parametrize("what", FOREIGN)
def test_no_tracked_file_names(what):
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in tracked_files()
        if path.name != "uv.lock"
        for match in re.finditer(FOREIGN[what], path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []


def test_the_lock_has_a_hash_for_every_file_and_names_one_index():
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    for package in lock["package"]:
        source = package["source"]
        if source == {"editable": "."}:
            continue
        assert source == {"registry": "https://py" + "pi.org/simple"}, package["name"]
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        assert files, package["name"]
        for file in files:
            assert file["hash"].startswith("sha256:"), file["url"]
            assert file["url"].startswith("https://files.python" + "hosted.org/"), file["url"]


def test_the_lock_resolves_for_both_python_versions():
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    assert lock["requires-python"] == ">=3.11, <3.13"


def test_the_picture_of_the_graph_shows_every_step():
    picture = (ROOT / "docs/images/pipeline.svg").read_text(encoding="utf-8")
    assert [step.value for step in StepName if step.value not in picture] == []
