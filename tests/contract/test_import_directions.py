"""Who may import whom, and that each image holds what the code in it imports."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp
import pytest

from tests.contract.dockerfile import locked_packages, packages_of, read_dockerfile

ROOT = Path(__file__).parents[2]
PACKAGES = ("forecasting", "components", "pipelines", "serving")


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)


@pytest.fixture(scope="module")
def distributions() -> dict[str, list[str]]:
    """Distributions by import name; looking them up takes most of a second."""
    return dict(packages_distributions())


def test_every_import_contract_is_kept():
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command; lint_imports_command()",
        "--no-cache",
        "--no-logo",
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_component_never_imports_a_server_or_a_pipeline(graph):
    for importer in graph.find_descendants("components"):
        imported = graph.find_modules_directly_imported_by(importer)
        assert not [name for name in imported if name.split(".")[0] in ("serving", "pipelines")], importer


def test_every_room_of_components_is_in_the_independence_contract():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    listed = {name for contract in contracts if contract["type"] == "independence" for name in contract["modules"]}
    rooms = {f"components.{path.parent.name}" for path in (ROOT / "components").glob("*/__init__.py")}
    assert rooms == listed


STEPS_BY_IMAGE = [
    ("steps", "components.validation.validate_data"),
    ("steps", "components.features.build_features"),
    ("steps", "components.evaluation.evaluate_compressed"),
    ("steps", "components.launching.launch_training"),
    ("steps", "components.reporting.report_run"),
    ("steps", "components.reporting.begin_run"),
    ("serving", "components.deployment.validate_serving"),
    ("serving", "components.deployment.deploy_model"),
    ("serving", "components.batch.forecast_batch"),
    ("serving", "serving.model_server.__main__"),
    ("gateway", "serving.gateway.__main__"),
    ("gateway", "serving.model_sync.__main__"),
]


@pytest.mark.parametrize(("image", "module"), STEPS_BY_IMAGE)
def test_an_image_holds_every_package_that_its_code_imports(image, module, graph, distributions):
    held = locked_packages(packages_of(read_dockerfile(), image).pruned)
    reached = {module, *graph.find_upstream_modules(module)}
    names = {name.split(".")[0] for name in reached} - set(PACKAGES) - sys.stdlib_module_names
    owners = {name: {canonical(owner) for owner in distributions[name]} for name in names}
    missing = {
        name: " → ".join(graph.find_shortest_chain(module, name) or ())
        for name in sorted(names)
        if not owners[name] & held
    }
    assert missing == {}, f"the image {image} lacks packages, here with the modules that lead to them"


@pytest.mark.parametrize("image", ["steps", "trainer", "serving"])
def test_an_image_of_steps_holds_the_launcher_of_components(image):
    assert "kfp" in locked_packages(packages_of(read_dockerfile(), image).pruned)


def test_the_images_leave_out_what_they_say():
    stages = read_dockerfile()
    assert not {"tensorflow", "keras", "h5py", "libclang"} & locked_packages(packages_of(stages, "steps").pruned)
    assert not {"apache-beam", "great-expectations", "fastavro"} & locked_packages(
        packages_of(stages, "serving").pruned
    )
    assert not {"tensorflow", "mlflow", "kfp", "matplotlib", "scipy"} & locked_packages(
        packages_of(stages, "gateway").pruned
    )


def canonical(name: str) -> str:
    """A distribution's name as the lock writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_component_names_the_image_whose_packages_were_checked():
    named = {}
    for path in sorted((ROOT / "components").glob("*/component.py")):
        image = ""
        for line in path.read_text(encoding="utf-8").splitlines():
            if "base_image=image(" in line:
                image = line.split('image("')[1].split('"')[0]
            elif line.startswith("def "):
                named[f"components.{path.parent.name}.{line[4:].split('(')[0]}"] = image
    checked = {module: image for image, module in STEPS_BY_IMAGE if module.startswith("components.")}
    whole_lock = {module for module, image in named.items() if image == "trainer"}
    light = {module for module in named if module.endswith(".record_refusal")}
    assert {module: image for module, image in named.items() if module not in whole_lock | light} == checked
