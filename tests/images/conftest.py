"""Images of this checkout, built once, on a base of Debian's packages."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from components.validation.examples import example_table
from forecasting.contracts.layout import home_layout
from forecasting.contracts.vocabulary import RunStatus
from forecasting.sources import EXAMPLE_SCHEME
from infra.images.build import ROOT, TARGETS, ImageReport, base_tag, build_image, make_stand_in
from infra.images.buildah import ImageStore

OUT = ROOT / "build/images"
IMAGE_USER = 10001
HARDLY_TRAINED = (
    "training.max_epochs=1", "training.refit=false", "training.max_steps_per_epoch=20", "compression.variants=[tflite_int8_weights]",
    "gates.model={max_mae: 1e9, max_rmse: 1e9, max_naive_ratio: 100, max_champion_ratio: 1e9}",
    "gates.compressed={max_mae: 1e9, max_rmse: 1e9}", "gates.slices=null", "gates.exceedance=null",
)  # fmt: skip


@pytest.fixture(scope="session")
def store() -> ImageStore:
    """The store of this checkout: the base stays in it between runs."""
    found = ImageStore(OUT / "store")
    make_stand_in(found, base_tag(ROOT / "Dockerfile"))
    return found


@pytest.fixture(scope="session")
def images(store) -> dict[str, ImageReport]:
    """What was built, by target."""
    reports = {target: build_image(store, target, revision="tested", out=OUT) for target in TARGETS}
    for target, report in reports.items():
        print(f"\n{target}: {report.size_bytes / 1e6:.0f} MB, {report.n_components} packages, {report.build_s} s")
    return reports


@pytest.fixture(scope="session")
def in_image(store, images):
    """Run words in a fresh container of a target as the image's user; what they print, after they ended well."""

    def run(target: str, *words: str, mounts: tuple[str, ...] = (), code: int = 0) -> str:
        with store.container(images[target].tag) as container:
            command = store.command(container, words, mounts=mounts)
            found = subprocess.run(command, check=False, capture_output=True, text=True, timeout=500)
        assert found.returncode == code, found.stdout[-2_000:] + found.stderr[-2_000:]
        return found.stdout

    return run


@pytest.fixture(scope="session")
def home(in_image, tmp_path_factory) -> Path:
    """A home with a champion: the packaged example, hardly trained, by the trainer image."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("electricity", "electricity/weather_forecasts"):
        example_table(f"{EXAMPLE_SCHEME}{name}", home_layout(folder))
    for path in (folder, *folder.rglob("*")):
        os.chown(path, IMAGE_USER, IMAGE_USER)
    words = [word for setting in HARDLY_TRAINED for word in ("--set", setting)]
    almanac = ("python", "-m", "pipelines.cli", "run", "-c", "/app/pipelines/configs/electricity.yaml", "--json")
    printed = in_image("trainer", *almanac, *words, mounts=(f"{folder}:/var/lib/almanac:rw",))
    assert json.loads(printed)["status"] == RunStatus.SUCCEEDED
    return folder
