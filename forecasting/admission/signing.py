"""Signatures of versions in the format of OpenSSF model signing with a key, so that `model_signing verify key` reads them.

`model.sig` in the version directory is a Sigstore bundle: a DSSE envelope around an in-toto statement that lists the
SHA-256 of every file. Its subject is `<model>/<version>`, so that an old version cannot be shown under a new number.
Formats: https://github.com/sigstore/model-transparency (docs/model_signing_format.md),
https://github.com/secure-systems-lab/dsse (protocol.md). Keys: elliptic curves P-256, P-384 and P-521, PEM.
"""

import base64
import binascii
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecasting.admission.version_files import SIGNATURE_FILE
from forecasting.contracts.artifacts import MANIFEST_FILE
from forecasting.errors import ConfigError, VersionRefusedError
from forecasting.manifests import digest_file, write_text_atomically

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey

MAX_SIGNATURE_BYTES = 32 * 2**20
"""Of a file that is read before anything vouches for it."""
_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://model_signing/signature/v1.0"
_CURVES = {256: "SHA256", 384: "SHA384", 521: "SHA512"}


def find_private_key(key_file: str | None, key_env: str | None) -> "EllipticCurvePrivateKey | None":
    """The key that a configuration names; none where it names none.

    Args:
        key_file: File with the key.
        key_env: Variable of the environment with the key.

    Raises:
        ConfigError: It is not there, or is no key.
    """
    if key_file is not None:
        try:
            return read_private_key(Path(key_file).read_bytes(), place=key_file)
        except OSError as error:
            raise ConfigError(
                f"deploy.signing.key_file must be there: {key_file}: {error.strerror or error}"
            ) from error
    if key_env is None:
        return None
    if not (pem := os.environ.get(key_env)):
        raise ConfigError(f"the environment must have {key_env}, which deploy.signing.key_env names, found none")
    return read_private_key(pem.encode(), place=key_env)


def read_private_key(pem: bytes, *, place: str) -> "EllipticCurvePrivateKey":
    """A key to sign with.

    Args:
        pem: The key in PEM without a password.
        place: Where it came from, for the message; the key itself is never repeated.

    Raises:
        ConfigError: It is none, or of another kind.
    """
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        key = None
    # Without the cause: the text of a parser may hold what it was given.
    if not isinstance(key, EllipticCurvePrivateKey) or key.curve.key_size not in _CURVES:
        raise ConfigError(f"{place} must hold a private key of P-256, P-384 or P-521 as PEM without a password")
    return key


def read_public_key(path: Path) -> "EllipticCurvePublicKey":
    """A key to check signatures with.

    Raises:
        ConfigError: The file cannot be read or holds no such key.
    """
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"the public key {path} must be there: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigError(f"{path} must hold a public key as PEM: {error}") from error
    if not isinstance(key, EllipticCurvePublicKey) or key.curve.key_size not in _CURVES:
        raise ConfigError(f"{path} must hold a public key of P-256, P-384 or P-521, found another kind")
    return key


def sign_version(version_dir: Path, listed: Mapping[str, str], key: "EllipticCurvePrivateKey", *, subject: str) -> None:
    """Sign a version that is about to be published.

    Args:
        version_dir: The version, with its list of files.
        listed: That list, digests by name.
        key: The private key.
        subject: `<model>/<version>`.
    """
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

    payload = _statement(_signed_files(version_dir, listed), subject)
    public = key.public_key()
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": _PAYLOAD,
        "signatures": [{"sig": base64.b64encode(key.sign(_encoded(payload), ECDSA(_hash(public)))).decode(), "keyid": ""}],
    }  # fmt: skip
    bundle = {
        "mediaType": _BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": _fingerprint(public)}, "tlogEntries": []},
        "dsseEnvelope": envelope,
    }
    write_text_atomically(version_dir / SIGNATURE_FILE, json.dumps(bundle))


def check_signature(
    version_dir: Path, listed: Mapping[str, str], key: "EllipticCurvePublicKey", *, subject: str
) -> None:
    """Check that the owner of a key has signed exactly these files under this model and number.

    Args:
        version_dir: The version.
        listed: Digests by name, already compared with the files.
        key: The public key.
        subject: `<model>/<version>`.

    Raises:
        VersionRefusedError: There is no signature, it is of another key, of other files or of another version.
    """
    path = version_dir / SIGNATURE_FILE
    try:
        statement = _verified(path, key)
        found = str(statement["subject"][0]["name"])
        resources = statement["predicate"]["resources"]
        signed = {one["name"]: one["digest"] for one in resources if one["algorithm"] == "sha256"}
        if statement["predicateType"] != _PREDICATE:
            raise ValueError(f"it must be of {_PREDICATE}, found {statement['predicateType']}")
    except FileNotFoundError as error:
        raise VersionRefusedError(
            "unsigned", f"{version_dir} must have {SIGNATURE_FILE}, as a key is set, found none; publish it with `deploy.signing`"
        ) from error  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise _bad(path, f"must be a signature that the key accepts: {error}") from error
    if found != subject:
        raise _bad(path, f"must be of {subject}, found the signature of {found!r}")
    if signed != _signed_files(version_dir, listed) or len(signed) != len(resources):
        raise _bad(path, "must be of the files beside it, found that of others")


def _signed_files(version_dir: Path, listed: Mapping[str, str]) -> dict[str, str]:
    return {**listed, MANIFEST_FILE: digest_file(version_dir / MANIFEST_FILE)}


def _statement(files: Mapping[str, str], subject: str) -> bytes:
    ordered = sorted(files.items())
    root = hashlib.sha256(b"".join(bytes.fromhex(digest) for _, digest in ordered)).hexdigest()
    serialization = {
        "method": "files",
        "hash_type": "sha256",
        "allow_symlinks": False,
        "ignore_paths": [SIGNATURE_FILE],
    }
    resources = [{"name": name, "algorithm": "sha256", "digest": digest} for name, digest in ordered]
    statement = {
        "_type": _STATEMENT,
        "subject": [{"name": subject, "digest": {"sha256": root}}],
        "predicateType": _PREDICATE,
        "predicate": {"serialization": serialization, "resources": resources},
    }
    return json.dumps(statement).encode()


def _verified(path: Path, key: "EllipticCurvePublicKey") -> Any:
    """The statement of a bundle, parsed only after its signature was checked."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_SIGNATURE_BYTES:
        raise ValueError(f"it must be a plain file of at most {MAX_SIGNATURE_BYTES} bytes")
    envelope = json.loads(path.read_text(encoding="utf-8"))["dsseEnvelope"]
    (signature,) = envelope["signatures"]
    if envelope["payloadType"] != _PAYLOAD:
        raise ValueError(f"its payload must be of type {_PAYLOAD}, found {envelope['payloadType']}")
    payload = _decoded(envelope["payload"])
    try:
        key.verify(_decoded(signature["sig"]), _encoded(payload), ECDSA(_hash(key)))
    except InvalidSignature:
        raise ValueError("the signature is of another key, or of other bytes") from None
    return json.loads(payload)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"base64 was expected: {error}") from error


def _encoded(payload: bytes) -> bytes:
    """What is signed: DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(_PAYLOAD), _PAYLOAD.encode(), len(payload), payload)


def _hash(key: "EllipticCurvePublicKey") -> Any:
    from cryptography.hazmat.primitives import hashes

    return getattr(hashes, _CURVES[key.curve.key_size])()


def _fingerprint(key: "EllipticCurvePublicKey") -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _bad(path: Path, what: str) -> VersionRefusedError:
    return VersionRefusedError("bad_signature", f"{path} {what}; publish the version again")
