"""Images of this checkout, each built once where a test asks for it, on a base of Debian's packages.

`ALMANAC_IMAGES="gateway serving"` tests these targets only; without it all four.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.validation.examples import example_table
from forecasting.contracts.layout import home_layout
from forecasting.contracts.vocabulary import RunStatus
from forecasting.sources import EXAMPLE_SCHEME
from infra.images.build import ROOT, TARGETS, ImageReport, base_tag, build_image, make_stand_in
from infra.images.buildah import ImageStore

OUT = ROOT / "build/images"
SELECTED = tuple(os.environ.get("ALMANAC_IMAGES", "").split()) or TARGETS
if unknown := set(SELECTED) - set(TARGETS):
    raise pytest.UsageError(
        f"ALMANAC_IMAGES must name targets of the Dockerfile ({', '.join(TARGETS)}); found {sorted(unknown)}"
    )
IMAGE_USER = 10001
HARDLY_TRAINED = (
    "training.max_epochs=1", "training.refit=false", "training.max_steps_per_epoch=20", "compression.variants=[tflite_int8_weights]",
    "gates.model={max_mae: 1e9, max_rmse: 1e9, max_naive_ratio: 1, max_champion_ratio: 1e9}",
    "gates.compressed={max_mae: 1e9, max_rmse: 1e9}", "gates.slices=null", "gates.exceedance=null",
)  # fmt: skip


@pytest.fixture(scope="session")
def store() -> ImageStore:
    """The store of this checkout: the base stays in it between runs."""
    found = ImageStore(OUT / "store")
    make_stand_in(found, base_tag(ROOT / "Dockerfile"))
    return found


class BuiltImages(dict[str, ImageReport]):
    """Images by target; one that is asked for the first time is built."""

    def __init__(self, store: ImageStore) -> None:
        super().__init__()
        self.store = store

    def __missing__(self, target: str) -> ImageReport:
        found = self[target] = build_image(self.store, target, revision="tested", out=OUT)
        print(f"\n{target}: {found.size_bytes / 1e6:.0f} MB, {found.n_components} packages, {found.build_s} s")
        return found


@pytest.fixture(scope="session")
def images(store) -> BuiltImages:
    """What was built, by target."""
    return BuiltImages(store)


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
def tables(tmp_path_factory) -> Path:
    """A home with the tables of the packaged example, which the image's user may write to."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("electricity", "electricity/weather_forecasts"):
        example_table(f"{EXAMPLE_SCHEME}{name}", home_layout(folder))
    give_to_image_user(folder)
    return folder


@pytest.fixture(scope="session")
def home(tables, request) -> Path:
    """The same with a champion, hardly trained: by the trainer image where it is under test, else by this checkout."""
    words = ["-m", "pipelines.cli", "run", "-c", "pipelines/configs/electricity.yaml", "--json"]
    words += [word for setting in HARDLY_TRAINED for word in ("--set", setting)]
    if "trainer" in SELECTED:
        printed = request.getfixturevalue("in_image")(
            "trainer", "python", *words, mounts=(f"{tables}:/var/lib/almanac:rw",)
        )
    else:
        variables = {**os.environ, "ALMANAC_HOME": str(tables)}
        done = subprocess.run(
            [sys.executable, *words], cwd=ROOT, env=variables, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
        printed = done.stdout
        give_to_image_user(tables)
    assert json.loads(printed)["status"] == RunStatus.SUCCEEDED
    return tables


def place_of(home: Path) -> str:
    """Where the home is in a container: where it was when it was made, since what the server reads names its folders."""
    return "/var/lib/almanac" if "trainer" in SELECTED else str(home)


def give_to_image_user(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, IMAGE_USER, IMAGE_USER)
