"""Light modules load no heavy package: a heavy import costs each process seconds of CPU."""

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

import forecasting.answering
import forecasting.backtest
import forecasting.config
import forecasting.contracts
import forecasting.features
import forecasting.gates
import forecasting.metrics
import forecasting.store
from forecasting.contracts.steps import StepName

ROOT = Path(__file__).parents[2]
HEAVY = ("tensorflow", "keras", "kfp", "mlflow", "apache_beam", "great_expectations", "matplotlib")
PROBE = """
import importlib, sys
for name in sys.argv[2:]:
    importlib.import_module(name)
    if found := sorted(set(sys.argv[1].split(",")) & set(sys.modules)):
        sys.exit(f"importing {name} loads {', '.join(found)}")
"""


def modules_of(package) -> list[str]:
    """A package and the modules right below it."""
    return [package.__name__, *(f"{package.__name__}.{found.name}" for found in pkgutil.iter_modules(package.__path__))]


LIGHT_ROOMS = {
    "contracts and config": [*modules_of(forecasting.contracts), *modules_of(forecasting.config)],
    "features": modules_of(forecasting.features),
    "backtest": [*modules_of(forecasting.backtest), *modules_of(forecasting.metrics), *modules_of(forecasting.gates)],
    "files": [
        "forecasting.errors", "forecasting.manifests", "forecasting.schema", "forecasting.windows", "forecasting.scaling",
        "forecasting.predictors", "forecasting.repository", "forecasting.runs", "forecasting.cache", "forecasting.execution",
    ],
    "store": modules_of(forecasting.store),
    "answering": modules_of(forecasting.answering),
    "wire": ["forecasting.wire.messages", "forecasting.wire.client", "forecasting.wire.server_process"],
    "model server": ["serving.model_server.__main__"],
    "gateway and client": ["serving.client", "serving.gateway"],
    "monitor": ["serving.monitor.run", "serving.monitor.monitor"],
    "command line": ["pipelines.cli"],
    "init": ["pipelines.commands.init"],
}  # fmt: skip


def heavy_imports(modules: list[str]) -> str:
    """Import modules one after another in a fresh process; says which one brought a heavy package."""
    command = [sys.executable, "-c", PROBE, ",".join(HEAVY), *modules]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return result.stderr.strip() if result.returncode else ""


@pytest.mark.parametrize("room", LIGHT_ROOMS)
def test_a_light_room_loads_no_heavy_package(room):
    assert heavy_imports(LIGHT_ROOMS[room]) == ""


def test_what_begins_a_step_loads_no_arrays_for_a_cached_step_has_no_use_for_them():
    arrays = "numpy,pandas,pyarrow,scipy"
    command = [sys.executable, "-c", PROBE, arrays, "forecasting.execution"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stderr == ""


def test_the_probe_sees_a_heavy_package():
    assert heavy_imports(["matplotlib"]).endswith("importing matplotlib loads matplotlib")


def step_files() -> dict[StepName, Path]:
    """The file of each step, by the rule components/<room>/<step>.py."""
    found = {path.stem: path for path in (ROOT / "components").glob("*/*.py")}
    return {step: found[step.value] for step in StepName if step.value in found}


def test_every_step_has_its_file():
    assert set(step_files()) == set(StepName)


def test_the_step_modules_load_no_heavy_package():
    names = [f"components.{path.parent.name}.{path.stem}" for path in step_files().values()]
    assert heavy_imports(names) == ""


@pytest.mark.parametrize("path", step_files().values(), ids=lambda path: path.stem)
def test_a_step_names_no_heavy_package_at_module_level(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in imports if isinstance(node, ast.ImportFrom)}
    assert not {name for name in names if name.split(".")[0] in HEAVY or name.startswith("forecasting.neural")}


WITHOUT_TENSORFLOW = (
    StepName.VALIDATE_DATA, StepName.BUILD_FEATURES, StepName.EVALUATE_COMPRESSED, StepName.DEPLOY_MODEL, StepName.REPORT_RUN,
)  # fmt: skip
"""Steps that have no use for TensorFlow, not even inside a function."""


@pytest.mark.parametrize("step", WITHOUT_TENSORFLOW)
def test_a_step_that_needs_no_tensorflow_has_no_way_to_it(step):
    graph = grimp.build_graph("forecasting", "components", include_external_packages=True, cache_dir=None)
    module = f"components.{step_files()[step].parent.name}.{step}"
    for heavy in ("tensorflow", "keras", "forecasting.neural"):
        assert graph.find_shortest_chain(module, heavy) is None
