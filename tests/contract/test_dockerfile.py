"""The images: four targets, no rights, packages from the lock, bytecode compiled."""

import fnmatch
import json
import re
import tomllib
from pathlib import Path

import pytest

from components.images import DEFAULTS
from forecasting.contracts.layout import HOME_VARIABLE
from forecasting.contracts.ports import GATEWAY_PORT, GRPC_PORT, REST_PORT
from serving.gateway.__main__ import build_parser
from serving.launch import MONITORING_CONFIG
from serving.model_server import flags as server_flags
from tests.contract.dockerfile import lineage, packages_of, read_dockerfile

ROOT = Path(__file__).parents[2]
TARGETS = ("steps", "trainer", "serving", "gateway")
STAGES = read_dockerfile()


def test_the_four_targets_exist_and_the_components_name_no_other():
    assert set(TARGETS) <= set(STAGES)
    assert set(DEFAULTS) <= set(TARGETS)


def test_every_base_is_an_earlier_stage_or_pinned_to_a_patch_release():
    earlier: set[str] = set()
    for name, stage in STAGES.items():
        assert stage.base in earlier or re.fullmatch(
            r"[\w./-]+:\d+\.\d+\.\d+-[\w-]+(@sha256:[0-9a-f]{64})?", stage.base
        ), stage.base
        earlier.add(name)
    assert not [stage.base for stage in STAGES.values() if stage.base.endswith(":latest")]


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_ends_as_a_numeric_user_without_rights(target):
    users = [user for stage in lineage(STAGES, target) for user in stage.values("USER")]
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", users[-1])
    last = STAGES[target].instructions
    assert not [
        step
        for step in last[last.index(next(step for step in last if step.word == "USER")) :]
        if step.word in ("RUN", "COPY", "ADD")
    ]


@pytest.mark.parametrize("target", TARGETS)
def test_packages_come_from_the_lock_with_hashes_and_compiled(target):
    commands = packages_of(STAGES, target).commands
    installing = [command for command in commands if " sync " in command or " pip install " in command]
    assert len(installing) == 1
    assert "--compile-bytecode" in installing[0]
    if " sync " in installing[0]:
        assert "--locked" in installing[0]
        assert "--no-dev" in installing[0]
    else:
        assert "--require-hashes" in installing[0]
        (export,) = [command for command in commands if " export " in command]
        assert "--locked" in export
        assert "--no-dev" in export


def test_the_code_is_compiled_too():
    assert any("compileall" in command for command in STAGES["code"].values("RUN"))


def test_uv_has_the_version_of_the_makefile():
    (pinned,) = re.findall(r"uv==([\d.]+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    (made,) = re.findall(
        r"^UV_VERSION := ([\d.]+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert pinned == made


def test_the_home_is_the_volume_of_every_target():
    for target in TARGETS:
        stages = lineage(STAGES, target)
        volumes = [volume for stage in stages for volume in stage.values("VOLUME")]
        settings = " ".join(value for stage in stages for value in stage.values("ENV"))
        assert volumes == ["/var/lib/almanac"]
        assert f"{HOME_VARIABLE}=/var/lib/almanac" in settings


def test_the_servers_expose_the_agreed_ports_and_are_probed_without_curl():
    assert STAGES["serving"].values("EXPOSE") == [f"{GRPC_PORT} {REST_PORT}"]
    assert STAGES["gateway"].values("EXPOSE") == [f"{GATEWAY_PORT}"]
    for target, port in (("serving", REST_PORT), ("gateway", GATEWAY_PORT)):
        (probe,) = STAGES[target].values("HEALTHCHECK")
        assert f"127.0.0.1:{port}/" in probe
        assert "curl" not in probe


def test_the_model_server_understands_its_default_arguments():
    (arguments,) = STAGES["serving"].values("CMD")
    found = server_flags.build_parser().parse_args(json.loads(arguments))
    assert (found.port, found.rest_api_port, found.bind_address) == (GRPC_PORT, REST_PORT, "0.0.0.0")
    assert found.model_config_file == "/var/lib/almanac/models/models.config"
    assert found.monitoring_config_file == f"/app/{MONITORING_CONFIG.relative_to(ROOT)}"


def test_the_gateway_understands_its_default_arguments():
    (entry,) = STAGES["gateway"].values("ENTRYPOINT")
    flags = build_parser().parse_args([*json.loads(entry)[3:], "--model=demand", "--grpc=serving:8500"])
    assert (flags.port, flags.bind_address) == (GATEWAY_PORT, "0.0.0.0")
    assert flags.models_dir == Path("/var/lib/almanac/models")


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_starts_a_module_that_exists(target):
    (entry,) = STAGES[target].values("ENTRYPOINT")
    python, flag, module, *_ = json.loads(entry)
    path = ROOT / module.replace(".", "/")
    assert (python, flag) == ("python", "-m")
    assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


def test_the_builder_sees_what_is_copied_and_nothing_else():
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = [
        words.split()[:-1]
        for stage in STAGES.values()
        for words in stage.values("COPY")
        if not words.startswith("--from")
    ]
    sources = {source.removeprefix("./") for words in copied for source in words}
    assert "*" in lines
    assert sources <= allowed
    assert not [
        name
        for name in (".git", ".venv", ".almanac", "build")
        if any(fnmatch.fnmatch(name, pattern) for pattern in allowed)
    ]


def test_the_trainer_takes_libraries_of_nvidia_from_the_lock_by_a_build_argument():
    (installing,) = [command for command in STAGES["trainer-packages"].values("RUN") if " sync " in command]
    assert '--extra "${ACCELERATOR}"' in installing
    assert STAGES["trainer-packages"].values("ARG") == ["ACCELERATOR=cpu"]
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    (almanac,) = [one for one in lock if one["name"] == "almanac"]
    (tensorflow,) = [one for one in lock if one["name"] == "tensorflow"]
    assert almanac["optional-dependencies"]["cuda"] == [{"name": "tensorflow", "extra": ["and-cuda"]}]
    assert "cpu" in almanac["metadata"]["provides-extras"]
    assert "cpu" not in almanac["optional-dependencies"]
    libraries = {one["name"] for one in tensorflow["optional-dependencies"]["and-cuda"]}
    assert {"nvidia-cudnn-cu12", "nvidia-cuda-runtime-cu12"} <= libraries
    for one in lock:
        if one["name"] in libraries:
            assert all(wheel["hash"].startswith("sha256:") for wheel in one["wheels"]), one["name"]
