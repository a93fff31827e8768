"""Receivers on this machine: an HTTP server that keeps what it is sent, and an SMTP server with STARTTLS and login."""

import datetime
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Post:
    """A request that arrived."""

    headers: dict[str, str]
    body: bytes


@contextmanager
def webhook_receiver(codes: Sequence[int] = (204,)) -> Iterator[tuple[str, list[Post]]]:
    """Answers with the codes one after another, the last for ever; yields its address and what it was sent."""
    posts: list[Post] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posts.append(Post(dict(self.headers.items()), body))
            self.send_response(codes[min(len(posts), len(codes)) - 1])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", posts
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Mailbox:
    """What an SMTP server took, and who had logged in."""

    mails: list[Any] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)

    async def handle_DATA(self, _server: object, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.mails.append((session.ssl is not None, envelope))
        return "250 taken"


@contextmanager
def smtp_server(folder: Path, *, password: str) -> Iterator[tuple[int, Mailbox]]:
    """Takes mail from `almanac` with a password, over STARTTLS only; its certificate is `folder/cert.pem`."""
    mailbox = Mailbox()
    make_certificate(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")

    def authenticate(_server: object, _session: object, _envelope: object, _mechanism: str, data: Any) -> AuthResult:
        mailbox.logins.append((data.login, data.password))
        return AuthResult(success=data.password == password.encode(), handled=False)

    controller = Controller(
        mailbox, hostname="127.0.0.1", port=0, tls_context=context, require_starttls=True, authenticator=authenticate,
        auth_required=True, ready_timeout=60,
    )  # fmt: skip
    controller.port = free_port()
    controller.start()
    try:
        yield controller.port, mailbox
    finally:
        controller.stop()


def free_port() -> int:
    """A port on which nobody listens just now."""
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def make_certificate(folder: Path) -> None:
    """A certificate for localhost that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
