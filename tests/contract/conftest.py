"""What the tests of the graph compile once."""

from pathlib import Path

import pytest

from tests.contract.engines import MOUNT, AlmanacRun, ArgoLocally, Engine, KubeflowLocally, compile_on_volume
from tests.contract.golden_home import GoldenHome, make_golden_home


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Engine]:
    """Every engine by name, with the compiled definition that it runs."""
    place: GoldenHome = make_golden_home(tmp_path_factory.mktemp("compiled"), Path(MOUNT) / "table.csv")
    words = ("--set", "cluster.retry_delay=1s")
    return {
        "almanac run": AlmanacRun(),
        "kubeflow": KubeflowLocally(compile_on_volume(place, "kfp", *words)),
        "argo": ArgoLocally(compile_on_volume(place, "argo", *words)),
    }
