"""Which files count as the code of a step."""

from pathlib import Path

import pytest

from forecasting.code_closure import PROJECT_ROOT, code_digests, imported_files, step_function
from forecasting.contracts.steps import StepName


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "components/__init__.py": "",
        "components/training/__init__.py": "",
        "components/training/component.py": "import kfp\n",
        "components/training/train_model.py": "def step():\n    from forecasting.loop import run\n",
        "components/training/page.html.j2": "<p>",
        "forecasting/__init__.py": "",
        "forecasting/loop.py": "import numpy\nfrom .losses import pinball\n",
        "forecasting/losses.py": "",
        "forecasting/unrelated.py": "",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_imports_are_followed_inside_functions_and_relative_ones_too(project: Path) -> None:
    assert set(code_digests(StepName.TRAIN_MODEL, project)) == {
        "components/training/__init__.py",
        "components/training/page.html.j2",
        "components/training/train_model.py",
        "forecasting/__init__.py",
        "forecasting/loop.py",
        "forecasting/losses.py",
    }


def test_a_change_two_imports_away_changes_the_digests(project: Path) -> None:
    before = code_digests(StepName.TRAIN_MODEL, project)
    (project / "forecasting/losses.py").write_text("LEVEL = 1\n")
    after = code_digests(StepName.TRAIN_MODEL, project)
    assert [name for name in before if before[name] != after[name]] == ["forecasting/losses.py"]


def test_a_change_of_an_unrelated_module_changes_nothing(project: Path) -> None:
    before = code_digests(StepName.TRAIN_MODEL, project)
    (project / "forecasting/unrelated.py").write_text("LEVEL = 1\n")
    assert code_digests(StepName.TRAIN_MODEL, project) == before


def test_a_submodule_imported_from_its_package_counts(project: Path) -> None:
    source = project / "components/training/other.py"
    source.write_text("from forecasting import losses\n")
    assert project / "forecasting/losses.py" in imported_files({source}, project)


def test_the_model_server_is_part_of_the_code_of_the_steps_that_start_it() -> None:
    digests = code_digests(StepName.VALIDATE_SERVING)
    assert any(name.startswith("serving/model_server/") for name in digests)
    assert not any(name.endswith("component.py") for name in digests)


def test_no_module_below_the_steps_imports_another_by_a_string() -> None:
    # The first two import the function of a step, which its room contains; the last imports messages of another project.
    allowed = {"forecasting/execution.py", "components/launching/worker.py", "forecasting/wire/messages.py"}
    found = {
        path.relative_to(PROJECT_ROOT).as_posix()
        for package in ("forecasting", "components")
        for path in (PROJECT_ROOT / package).rglob("*.py")
        if any(name in path.read_text(encoding="utf-8") for name in ("import_module(", "resolve_name(", "__import__("))
    }
    assert found <= allowed


@pytest.mark.parametrize("step", StepName)
def test_the_function_of_a_step_is_in_a_file_of_its_name(step: StepName) -> None:
    module, _, function = step_function(step).partition(":")
    source = (PROJECT_ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
    assert f"def {function}(" in source
