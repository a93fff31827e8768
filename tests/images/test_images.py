"""The images as they are built: who runs in them, what is in them, what they can do."""

import importlib.util
import json
import re
import stat
import urllib.request
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from forecasting.wire.server_process import listening_process
from infra.images.build import build_image
from tests.images.conftest import IMAGE_USER, OUT, SELECTED, place_of

needs_steps = pytest.mark.skipif("steps" not in SELECTED, reason="ALMANAC_IMAGES leaves out the target steps")
pytestmark = [pytest.mark.images, pytest.mark.timeout(3_000)]

TENSORFLOW = ("tensorflow", "keras", "tensorflow_serving")
ABSENT = {
    "gateway": (*TENSORFLOW, "ai_edge_litert", "apache_beam", "great_expectations", "mlflow", "kfp"),
    "serving": ("apache_beam", "great_expectations", "ai_edge_quantizer"),
    "steps": TENSORFLOW,
    "trainer": (),
}
MAX_BYTES = {"gateway": 900e6, "serving": 3_200e6, "steps": 2_200e6, "trainer": 3_800e6}
UNCHECKED_HASH = 1
SERVER_LINES = {
    "grpc": re.compile(r"Running gRPC ModelServer at (\S+)"),
    "rest": re.compile(r"Exporting HTTP/REST API at (\S+)"),
}
GATEWAY_LINES = {"gateway": re.compile(r"Gateway at (\S+)")}
SECRETS = re.compile(rb"-----BEGIN (?:RSA |EC |OPENSSH )?PRIVATE KEY-----|AKIA[0-9A-Z]{16}|ghp_[A-Za-z0-9]{36}")


@pytest.mark.parametrize("target", SELECTED)
def test_help_and_an_identity_without_rights(in_image, images, target):
    assert in_image(target, "id", "-u").strip() == str(IMAGE_USER)
    module = {"gateway": "serving.gateway", "serving": "serving.model_server"}.get(target, "pipelines.cli")
    assert "usage: " in in_image(target, "python", "-m", module, "--help")


@pytest.mark.parametrize("target", SELECTED)
def test_nothing_is_writable_but_the_state_and_the_temporary_folders(store, images, target):
    with store.files(images[target].tag) as root:
        found = []
        for path in root.rglob("*"):
            mode = path.lstat()
            if not stat.S_ISLNK(mode.st_mode) and (mode.st_mode & 0o002 or mode.st_uid == IMAGE_USER):
                found.append(f"/{path.relative_to(root)}")
    allowed = {"/tmp", "/var/tmp", "/run/lock", "/var/lib/almanac"}
    assert not [path for path in found if path not in allowed and not path.startswith(("/dev/", "/proc/", "/sys/"))]


@pytest.mark.parametrize("target", SELECTED)
def test_no_file_changes_who_runs_it_and_no_history_or_secret_is_left_behind(store, images, target):
    with store.files(images[target].tag) as root:
        paths = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
        assert not [path for path in paths if path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID)]
        names = {path.relative_to(root).as_posix() for path in paths}
        left = re.compile(r"(^|/)\.git/|/\.cache/|^root/\.(?!bashrc$|profile$)|^app/tests/|pip\.conf$")
        assert not [name for name in names if left.search(name)]
        texts = [path for path in paths if path.is_relative_to(root / "app") or path.is_relative_to(root / "etc")]
        assert not [path for path in texts if SECRETS.search(path.read_bytes())]


@pytest.mark.parametrize("target", SELECTED)
def test_bytecode_stays_valid_whatever_the_times_of_the_files_are(store, images, target):
    with store.files(images[target].tag) as root:
        sources = sorted((root / "app/forecasting").glob("*.py"))
        packages = sorted((root / "opt/almanac").glob("lib/python*/site-packages/yaml/*.py"))
        assert len(sources) > 20
        assert packages
        for path in sources + packages:
            compiled = Path(importlib.util.cache_from_source(str(path))).with_name(f"{path.stem}.cpython-311.pyc")
            header = compiled.read_bytes()[:16]
            assert int.from_bytes(header[4:8], "little") == UNCHECKED_HASH, path
            assert header[8:] == importlib.util.source_hash(path.read_bytes()), path


@pytest.mark.parametrize("target", SELECTED)
def test_an_image_holds_what_it_needs_and_is_not_larger_than_it_may_be(in_image, images, target):
    words = f"import importlib.util; print([n for n in {ABSENT[target]!r} if importlib.util.find_spec(n)])"
    assert in_image(target, "python", "-c", words).strip() == "[]"
    assert images[target].size_bytes < MAX_BYTES[target]


@pytest.mark.parametrize("target", SELECTED)
def test_the_bill_of_materials_is_valid_and_names_what_is_installed(in_image, images, target):
    text = (OUT / f"{target}.cdx.json").read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    listed = {one["purl"] for one in json.loads(text)["components"]}
    words = "import importlib.metadata as m; print([f'{d.metadata[\"Name\"].lower()}@{d.version}' for d in m.distributions()])"
    installed = set(re.findall(r"'([^']+)'", in_image(target, "python", "-c", words)))
    assert {f"pkg:pypi/{name.replace('_', '-')}" for name in installed} <= {url.replace("_", "-") for url in listed}
    assert any(url.startswith("pkg:deb/debian/libc6@") for url in listed)


def test_the_same_sources_give_the_same_layers(store, images, tmp_path):
    again = build_image(store, "gateway", revision="tested", out=tmp_path)
    assert again.layers == images["gateway"].layers
    assert (tmp_path / "gateway.cdx.json").read_bytes() == (OUT / "gateway.cdx.json").read_bytes()


@needs_steps
def test_the_steps_image_validates_a_table_where_nothing_but_the_state_can_be_written(in_image, tables):
    almanac = (
        "python",
        "-m",
        "pipelines.cli",
        "run",
        "-c",
        "/app/pipelines/configs/electricity.yaml",
        "--force",
        "validate_data",
        "--json",
    )
    printed = in_image("steps", *almanac, "--to", "validate_data", mounts=(f"{tables}:/var/lib/almanac:rw",))
    assert json.loads(printed)["steps"][0]["status"] == "succeeded"


@pytest.fixture
def server(store, images, home, tmp_path):
    """The model server of the serving image with the champion of the home; its addresses."""
    words = ("python", "-m", "serving.model_server", "--port=0", "--rest_api_port=0", "--prefer_tflite_model=true",
             f"--model_config_file={place_of(home)}/models/models.config")  # fmt: skip
    with store.container(images["serving"].tag) as container:
        command = store.command(container, words, mounts=(f"{home}:{place_of(home)}:ro",))
        with listening_process(command, SERVER_LINES, log=tmp_path / "server.log") as (_, addresses):
            yield addresses


def test_a_forecast_of_the_champion_comes_out_of_the_serving_and_the_gateway_image(
    store, images, home, server, tmp_path
):
    words = ("python", "-m", "serving.gateway", f"--models-dir={place_of(home)}/models", "--model=electricity", "--port=0",
             f"--grpc={server['grpc']}")  # fmt: skip
    with store.container(images["gateway"].tag) as container:
        command = store.command(container, words, mounts=(f"{home}:{place_of(home)}:ro",))
        with listening_process(command, GATEWAY_LINES, log=tmp_path / "gateway.log") as (_, addresses):
            headers = {"Content-Type": "application/json"}
            request = urllib.request.Request(f"http://{addresses['gateway']}/v1/forecast", b"{}", headers)
            with urllib.request.urlopen(request, timeout=30) as answer:
                (forecast,) = json.load(answer)["forecasts"]
    assert forecast["degraded"] is False, forecast["reason"]
    assert len(forecast["quantiles"]["0.5"]) == 24
    assert all(1_500 < value < 12_000 for value in forecast["quantiles"]["0.5"])
