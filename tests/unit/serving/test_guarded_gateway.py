"""A gateway with tokens, TLS and limits, as a process; its log."""

import datetime
import http.client
import ipaddress
import json
import re
import ssl
import subprocess
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from forecasting.config.gateway import GatewayConfig
from forecasting.config.sections import ServingConfig
from forecasting.errors import ConfigError
from forecasting.wire.server_process import listening_process
from serving.gateway.tokens import TokenScope, make_token
from serving.launch import serve
from tests.unit.serving.conftest import LINE


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Files of a certificate of 127.0.0.1 and its key."""
    folder, key = tmp_path_factory.mktemp("tls"), ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")]), datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    built = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1)).add_extension(names, critical=False).sign(key, hashes.SHA256())
    )  # fmt: skip
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*form))
    (folder / "certificate.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    return folder / "certificate.pem", folder / "key.pem"


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    """A file, and its tokens by name."""
    path, found = tmp_path_factory.mktemp("tokens") / "tokens", {}
    lines = []
    for name, scope in (("shop", TokenScope.READ), ("loader", TokenScope.WRITE), ("root", TokenScope.ADMIN)):
        found[name], record = make_token(name, [scope])
        lines.append(record.line())
    path.write_text("\n".join(lines))
    return path, found


@pytest.fixture(scope="module")
def guarded(home, tokens, certificate, tmp_path_factory):
    """Address, file of the log, and TLS context of a gateway on all addresses; its model server is away."""
    log = tmp_path_factory.mktemp("guarded") / "log"
    command = [sys.executable, "-m", "serving.gateway", "--model=tiny", f"--models-dir={home / 'models'}"]
    command += ["--grpc=127.0.0.1:1", "--port=0", "--bind-address=0.0.0.0", f"--tokens={tokens[0]}"]
    command += [f"--tls-certificate={certificate[0]}", f"--tls-key={certificate[1]}", "--rate-limit=50"]
    with listening_process(command, LINE, log=log) as (_, addresses):
        port = addresses["http"].rpartition(":")[2]
        yield f"127.0.0.1:{port}", log, ssl.create_default_context(cafile=certificate[0])


def _ask(guarded, path, token=None, body=None, **headers):
    address, _, context = guarded
    connection = http.client.HTTPSConnection(address, timeout=20, context=context)
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    connection.request("GET" if body is None else "POST", path, body, headers)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, response.headers, text


def test_forecasts_need_a_token_that_may_read(guarded, tokens):
    body = b'{"series": ["a"]}'
    status, headers, text = _ask(guarded, "/v1/forecast", None, body)
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert json.loads(text)["request_id"] == headers["x-request-id"]
    assert _ask(guarded, "/v1/forecast", "almanac_wrong", body)[0] == 401
    assert _ask(guarded, "/v1/forecast", tokens[1]["loader"], body)[0] == 403
    assert _ask(guarded, "/v1/forecast", tokens[1]["shop"], body)[0] == 200
    assert _ask(guarded, "/v1/forecast", tokens[1]["root"], body)[0] == 200


def test_pages_need_a_token_and_probes_do_not(guarded, tokens):
    assert [_ask(guarded, path)[0] for path in ("/v1/series", "/metrics", "/nothing")] == [401, 401, 401]
    assert [_ask(guarded, path)[0] for path in ("/healthz", "/readyz", "/openapi.json")] == [200, 200, 200]
    assert _ask(guarded, "/metrics", tokens[1]["shop"])[0] == 200


def test_a_client_that_asks_too_often_gets_429_with_the_time_to_wait(guarded, tokens):
    address, _, context = guarded
    connection = http.client.HTTPSConnection(address, timeout=20, context=context)
    for _ in range(2000):
        connection.request("GET", "/v1/timeseries/models", headers={"Authorization": f"Bearer {tokens[1]['shop']}"})
        response = connection.getresponse()
        response.read()
        if response.status == 429:
            break
    connection.close()
    assert (response.status, response.headers["retry-after"]) == (429, "1")
    assert _ask(guarded, "/v1/timeseries/models", tokens[1]["root"])[0] == 200
    page = _ask(guarded, "/metrics", tokens[1]["root"])[2].decode()
    assert 'forecast_requests_total{code="429",model="tiny",route="/v1/timeseries/models"} 1.0' in page


def test_the_log_has_ids_and_numbers_of_each_request_and_nothing_of_what_was_sent(guarded, tokens):
    body = b'{"series": ["secret-series"]}'
    _ask(guarded, "/v1/forecast", tokens[1]["root"], body, **{"X-Request-Id": "order-17"})
    _ask(guarded, "/secret-path?secret=1", tokens[1]["root"])
    text = guarded[1].read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    (found,) = [line for line in lines if line.get("request_id") == "order-17"]
    assert found["ms"] > 0
    assert {name: found[name] for name in ("method", "route", "status", "client", "bytes_in", "level")} == {
        "method": "POST", "route": "/v1/forecast", "status": 404, "client": "root", "bytes_in": len(body), "level": "info",
    }  # fmt: skip
    assert "secret" not in text
    assert not any(token in text for token in tokens[1].values())


def test_plain_http_is_not_answered(guarded):
    connection = http.client.HTTPConnection(guarded[0], timeout=20)
    connection.request("GET", "/healthz")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        connection.getresponse()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--bind-address=0.0.0.0"], "the gateway must have tokens to listen on 0.0.0.0"),
        (["--tokens=/nowhere/tokens"], "the tokens /nowhere/tokens cannot be read"),
        (["--tls-certificate=/nowhere/c.pem", "--tls-key=/nowhere/k.pem"], "TLS must have a certificate and its key"),
    ],
)
def test_a_gateway_that_could_not_keep_its_promises_does_not_start(home, flags, message):
    command = [sys.executable, "-m", "serving.gateway", "--model=tiny", f"--models-dir={home / 'models'}", "--port=0"]
    done = subprocess.run([*command, *flags], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert re.search(f"the gateway cannot start: .*{re.escape(message)}", done.stderr)


def test_serve_on_an_address_that_others_reach_needs_tokens_before_anything_starts(home):
    with pytest.raises(ConfigError, match="the gateway must have tokens"):
        serve(home / "models", "tiny", None, ServingConfig(), GatewayConfig(bind_address="0.0.0.0"))
