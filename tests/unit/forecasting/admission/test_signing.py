"""Versions are signed when they are published; what is unsigned, altered, another's or another version's is refused."""

import base64
import json
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from model_signing.signing import Config as OfficialSigning
from model_signing.verifying import Config as OfficialVerifying

from forecasting.admission.provenance import ProvenanceConfig, admit_files
from forecasting.admission.signing import check_signature, find_private_key, read_private_key, read_public_key
from forecasting.admission.version_files import check_version_files
from forecasting.errors import ConfigError, VersionRefusedError
from forecasting.repository import ModelRepository


def write_keys(folder: Path, curve: ec.EllipticCurve | None = None) -> tuple[Path, Path]:
    """A new private and public key as PEM files."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    private, public = folder / "private.pem", folder / "public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return write_keys(tmp_path)


def publish(root: Path, private: Path, *, content: bytes = b"graph") -> Path:
    source = root / f"source-{content.decode()}"
    (source / "variables").mkdir(parents=True)
    (source / "saved_model.pb").write_bytes(content)
    (source / "variables" / "variables.index").write_bytes(b"index")
    repository = ModelRepository(root / "models")
    key = find_private_key(str(private), None)
    return repository.version_dir("demand", repository.publish("demand", source, key=key))


def admit_signed(version: Path, public: Path) -> None:
    config = ProvenanceConfig(public_key=read_public_key(public))
    admit_files(version, config, subject=f"{version.parent.name}/{version.name}")


def reason(version: Path, public: Path) -> str:
    with pytest.raises(VersionRefusedError) as refused:
        admit_signed(version, public)
    return refused.value.reason


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_a_signed_version_is_admitted_here_and_by_the_official_verifier(tmp_path, curve):
    private, public = write_keys(tmp_path, curve)
    version = publish(tmp_path, private)
    admit_signed(version, public)
    OfficialVerifying().use_elliptic_key_verifier(public_key=public).verify(version, version / "model.sig")


def test_the_official_verifier_refuses_what_was_altered_here(tmp_path, keys):
    version = publish(tmp_path, keys[0])
    (version / "saved_model.pb").write_bytes(b"GRAPH")
    with pytest.raises(ValueError, match=r"saved_model\.pb"):
        OfficialVerifying().use_elliptic_key_verifier(public_key=keys[1]).verify(version, version / "model.sig")


def test_a_signature_of_the_official_signer_is_admitted_here(tmp_path, keys):
    version = publish(tmp_path, keys[0])
    (version / "model.sig").unlink()
    OfficialSigning().use_elliptic_key_signer(private_key=keys[0]).sign(version, version / "model.sig")
    check_signature(version, check_version_files(version), read_public_key(keys[1]), subject=version.name)


def test_an_unsigned_version_is_refused_where_a_key_is_set(tmp_path, keys):
    version = publish(tmp_path, keys[0])
    (version / "model.sig").unlink()
    assert reason(version, keys[1]) == "unsigned"


def test_a_version_without_a_list_is_refused_where_a_key_is_set(tmp_path, keys):
    version = publish(tmp_path, keys[0])
    (version / "manifest.json").unlink()
    assert reason(version, keys[1]) == "no_manifest"


def test_a_version_of_another_key_is_refused(tmp_path, keys):
    version = publish(tmp_path, keys[0])
    (tmp_path / "other").mkdir()
    assert reason(version, write_keys(tmp_path / "other")[1]) == "bad_signature"


def test_altered_files_with_a_new_list_are_refused(tmp_path, keys):
    version = publish(tmp_path, keys[0])
    forged = publish(tmp_path, keys[0], content=b"forged")
    for name in ("saved_model.pb", "manifest.json"):
        shutil.copyfile(forged / name, version / name)
    check_version_files(version, required=True)
    assert reason(version, keys[1]) == "bad_signature"


def test_an_old_version_under_a_new_number_is_refused(tmp_path, keys):
    version = publish(tmp_path, keys[0])
    replayed = shutil.copytree(version, version.parent / "7")
    assert reason(replayed, keys[1]) == "bad_signature"


def test_a_version_under_the_name_of_another_model_is_refused(tmp_path, keys):
    version = publish(tmp_path, keys[0])
    assert reason(Path(shutil.copytree(version, tmp_path / "other" / "1")), keys[1]) == "bad_signature"


def _with(bundle, path, value):
    *outer, last = path
    place = bundle
    for key in outer:
        place = place[key]
    place[last] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("dsseEnvelope", "payload"), base64.b64encode(b"{}").decode()),
        (("dsseEnvelope", "payload"), "no base64!"),
        (("dsseEnvelope", "payloadType"), "text/plain"),
        (("dsseEnvelope", "signatures"), []),
        (("dsseEnvelope", "signatures", 0, "sig"), base64.b64encode(b"0" * 70).decode()),
        (("dsseEnvelope",), None),
    ],
)
def test_a_signature_file_that_was_changed_is_refused(tmp_path, keys, path, value):
    version = publish(tmp_path, keys[0])
    bundle = json.loads((version / "model.sig").read_text())
    _with(bundle, path, value)
    (version / "model.sig").write_text(json.dumps(bundle))
    assert reason(version, keys[1]) == "bad_signature"


@pytest.mark.parametrize("text", ["", "[" * 100_000, "null", "\x00"])
def test_a_signature_file_that_is_none_is_refused(tmp_path, keys, text):
    version = publish(tmp_path, keys[0])
    (version / "model.sig").write_text(text)
    assert reason(version, keys[1]) == "bad_signature"


def test_without_a_key_signatures_are_not_looked_at(tmp_path, keys):
    version = publish(tmp_path, keys[0])
    (version / "model.sig").write_text("nonsense")
    admit_files(version, ProvenanceConfig(), subject="demand/1")


def test_a_key_comes_from_the_environment_too(monkeypatch, keys):
    monkeypatch.setenv("SIGNING_KEY", keys[0].read_text())
    found, expected = find_private_key(None, "SIGNING_KEY"), find_private_key(str(keys[0]), None)
    assert found.private_numbers() == expected.private_numbers()


def test_keys_that_are_missing_or_none_are_refused_without_repeating_them(tmp_path):
    with pytest.raises(ConfigError, match="ABSENT_KEY"):
        find_private_key(None, "ABSENT_KEY")
    with pytest.raises(ConfigError, match="must be there"):
        find_private_key(str(tmp_path / "absent"), None)
    with pytest.raises(ConfigError, match="P-256") as refused:
        read_private_key(b"hunter2-secret", place="the file")
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_key_of_another_kind_is_refused(tmp_path):
    key = ed25519.Ed25519PrivateKey.generate()
    (tmp_path / "public.pem").write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(ConfigError, match="another kind"):
        read_public_key(tmp_path / "public.pem")
    with pytest.raises(ConfigError, match="P-256"):
        read_private_key(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), place="the file")
