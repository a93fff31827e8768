"""A signed run and its service with known secrets around them: none of these stands anywhere afterwards."""

import re
import subprocess
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from forecasting.admission.loading import AdmissionConfig, admit
from forecasting.admission.signing import read_public_key
from serving.client import GatewayClient
from serving.gateway.tokens import TokenScope, make_token
from tests.contract.pickles import pickled_files
from tests.integration.load_home import ALMANAC, LoadHome, make_home, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
ROOT = Path(__file__).parents[2]
NAMED = {
    "AWS_SECRET_ACCESS_KEY": "hidden-object-store-1f7c",
    "DATABASE_PASSWORD": "hidden-database-93ab",
    "MLFLOW_TRACKING_PASSWORD": "hidden-tracker-77e0",
    "SMTP_PASSWORD": "hidden-mail-5d21",
}


@dataclass(frozen=True)
class SecretHome(LoadHome):
    """A home whose commands see secrets in their environment; `key` is the public one."""

    secrets: dict[str, str] = field(default_factory=dict)
    token: str = ""
    key: Path = Path()

    def environment(self) -> dict[str, str]:
        return {**super().environment(), **self.secrets}

    def almanac(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(ALMANAC), *words], cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=900
        )

    def needles(self) -> set[bytes]:
        """What must stand nowhere: values, the token, and each line of the private key's text."""
        lines = [line for line in self.secrets["SIGNING_KEY"].splitlines() if not line.startswith("-----")]
        return {text.encode() for text in (*NAMED.values(), self.token, *lines)}

    def found_in(self, folder: Path) -> list[str]:
        """Files below a folder with one of them."""
        pattern = re.compile(b"|".join(re.escape(needle) for needle in self.needles()))
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        return [path.relative_to(folder).as_posix() for path in files if pattern.search(path.read_bytes())]


def _make(folder: Path) -> SecretHome:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = folder / "public.pem"
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    token, record = make_token("reader", [TokenScope.READ])
    made = make_home(folder)
    with made.config.open("a") as stream:
        stream.write("deploy: {signing: {key_env: SIGNING_KEY}}\n")
    text = made.config.read_text().replace("\nserving: {", f"\nserving: {{signature_key_file: {public}, ")
    made.config.write_text(text)
    secrets = {**NAMED, "SIGNING_KEY": pem, "ALMANAC_TOKENS": record.line()}
    return SecretHome(made.folder, made.home, secrets, token, public)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[SecretHome, subprocess.CompletedProcess[str]]:
    """A run that was promoted, and what it said."""
    home = _make(tmp_path_factory.mktemp("secrets"))
    done = home.run()
    assert done.returncode == 0, done.stderr
    return home, done


@pytest.fixture(scope="module")
def served(finished, tmp_path_factory) -> tuple[SecretHome, str]:
    """The home after its service answered a client with a token, and the pages of metrics."""
    home, _ = finished
    pages = []
    with serving(home) as server:
        client = GatewayClient(server.gateway, token=home.token)
        assert client.forecast() is not None
        for address in (f"{server.gateway}/metrics", f"http://{server.rest}/metrics"):
            request = urllib.request.Request(address, headers={"Authorization": f"Bearer {home.token}"})
            with urllib.request.urlopen(request, timeout=30) as answer:
                pages.append(answer.read().decode())
    return home, "\n".join(pages)


def test_a_run_signs_what_it_publishes(finished):
    home, _ = finished
    (version,) = [path for path in (home.home / "models" / "load").iterdir() if path.name.isdecimal()]
    admit(version, AdmissionConfig(public_key=read_public_key(home.key)))


def test_a_run_leaves_no_pickle_and_no_layer_of_code(finished):
    assert pickled_files(finished[0].home) == []


def test_no_secret_stands_in_what_a_run_wrote_or_said(finished):
    home, done = finished
    assert home.found_in(home.home) == []
    assert not any(needle.decode() in done.stdout + done.stderr for needle in home.needles())


def test_no_secret_stands_in_logs_and_metrics_of_a_service(served):
    home, pages = served
    assert "forecast_requests" in pages
    assert not any(needle.decode() in pages for needle in home.needles())
    assert home.found_in(home.home) == []


def test_the_search_finds_a_secret_that_is_there(finished, tmp_path):
    home, _ = finished
    (tmp_path / "log").write_bytes(b"connecting with " + home.token.encode())
    assert home.found_in(tmp_path) == ["log"]


def test_a_compiled_pipeline_has_the_name_of_the_signing_key_and_not_the_key(finished, tmp_path):
    home, _ = finished
    config, out = ROOT / "pipelines" / "configs" / "electricity.yaml", tmp_path / "pipeline.yaml"
    done = home.almanac("compile", "-c", str(config), "--set", "deploy.signing.key_env=SIGNING_KEY", "--allow-tags", "-o", str(out))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "SIGNING_KEY" in out.read_text()
    assert home.found_in(tmp_path) == []
