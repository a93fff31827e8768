"""TLS, mutual TLS, the Unix socket, CORS and the flags around them."""

import datetime
import http.client
import ipaddress
from contextlib import closing

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tensorflow_serving.apis import prediction_service_pb2_grpc

from tests.conformance.running import run_to_end
from tests.conformance.test_e_grpc import metadata_request, predict_request, tensor
from tests.conformance.test_f_lifecycle import LITE

X = {"x": tensor([2.0], shape=[1, 1])}


def certificate(name, issuer=None):
    """Key and certificate in PEM; signed by the issuer's, or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[1].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]),
            critical=False,
        )
    )
    return key, builder.sign(issuer[0] if issuer else key, hashes.SHA256())


def pem(key, found):
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return text, found.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def authority():
    return certificate("authority")


def ssl_config(path, authority, *, client_verify):
    key, found = pem(*certificate("localhost", authority))
    _, root = pem(*authority)
    texts = {"server_key": key, "server_cert": found, "custom_ca": root}
    lines = [f'{name}: "{value.decode().replace(chr(10), chr(92) + "n")}"' for name, value in texts.items()]
    path.write_text("\n".join([*lines, f"client_verify: {str(client_verify).lower()}"]))
    return f"--ssl_config_file={path}"


def answer_over(address, credentials):
    with grpc.secure_channel(address, credentials) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        return list(stub.Predict(predict_request(X), timeout=10).outputs["y"].float_val)


def wait_rest(server):
    from tests.conformance.running import wait_for

    def ready():
        try:
            return server.get("/v1/models/default")[1]["model_version_status"][0]["state"] == "AVAILABLE"
        except (OSError, KeyError):
            return False

    wait_for(ready, "the model over REST")


@pytest.fixture
def secured(models, tmp_path):
    """Starts a server with TLS, which the plain channel of the other tests cannot wait for."""
    import contextlib
    import os
    import signal
    import subprocess

    from forecasting.wire.server_process import package_environment
    from tests.conformance.running import TestServer, command, free_ports

    if "TFS_GRPC" in os.environ:
        pytest.skip("needs a server with flags of its own; set TFS_COMMAND instead of TFS_GRPC")

    @contextlib.contextmanager
    def start(*flags):
        ports = free_ports(2)
        words = [*command(), f"--port={ports[0]}", f"--rest_api_port={ports[1]}", LITE, *flags]
        words.append(f"--model_base_path={models / 'lite_half_plus_two'}")
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log, env=package_environment())
        try:
            server = TestServer(f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}")
            wait_rest(server)
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(35)

    return start


def test_tls_on_grpc(secured, authority, tmp_path):
    _, root = pem(*authority)
    with secured(ssl_config(tmp_path / "ssl", authority, client_verify=False)) as server:
        assert answer_over(server.grpc_address, grpc.ssl_channel_credentials(root)) == [3.0]
        with pytest.raises(grpc.RpcError):
            server.prediction.Predict(predict_request(X), timeout=2)


def test_mutual_tls_wants_a_certificate_of_the_client(secured, authority, tmp_path):
    _, root = pem(*authority)
    key, found = pem(*certificate("client", authority))
    with secured(ssl_config(tmp_path / "ssl", authority, client_verify=True)) as server:
        assert answer_over(server.grpc_address, grpc.ssl_channel_credentials(root, key, found)) == [3.0]
        with pytest.raises(grpc.RpcError) as caught:
            answer_over(server.grpc_address, grpc.ssl_channel_credentials(root))
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


def test_a_broken_ssl_config_ends_the_server(models, tmp_path):
    (tmp_path / "ssl").write_text("nonsense")
    found = run_to_end([f"--model_base_path={models / 'lite_half_plus_two'}", f"--ssl_config_file={tmp_path / 'ssl'}"])
    assert found.returncode != 0


def test_the_unix_socket_answers_too(own_server, models, tmp_path):
    path = tmp_path / "s"
    flags = [LITE, f"--model_base_path={models / 'lite_half_plus_two'}", f"--grpc_socket_path={path}"]
    with own_server(*flags), grpc.insecure_channel(f"unix:{path}") as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        assert list(stub.Predict(predict_request(X), timeout=10).outputs["y"].float_val) == [3.0]
        assert stub.GetModelMetadata(metadata_request("signature_def"), timeout=10).model_spec.name == "default"


def test_an_idle_connection_stays_open_longer_than_a_client_pauses(server):
    connection = http.client.HTTPConnection(server.rest_address, timeout=8)
    with closing(connection):
        connection.request("GET", "/v1/models/default")
        connection.getresponse().read()
        with pytest.raises(TimeoutError):  # nothing comes, not even the end of the connection
            connection.sock.recv(1)


def test_cors(own_server, models):
    flags = [f"--model_base_path={models / 'lite_half_plus_two'}", "--rest_api_enable_cors_support"]
    with own_server(LITE, *flags) as server:
        path, origin = "/v1/models/default:predict", {"Origin": "https://example.org"}
        status, headers, _ = server.ask("OPTIONS", path, headers=origin)
        assert status == 200
        assert headers["access-control-allow-origin"] == "*"
        assert headers["access-control-allow-methods"] == "POST, GET"
        assert headers["access-control-allow-headers"] == "Content-Type"
        assert server.ask("OPTIONS", path)[0] == 400
        status, headers, _ = server.ask("POST", path, b'{"instances": [[2.0]]}', origin)
        assert (status, headers["access-control-allow-origin"]) == (200, "*")


def test_without_the_flag_there_are_no_cors_headers(server):
    _, headers, _ = server.ask("POST", "/v1/models/default:predict", b'{"instances": [2.0]}', {"Origin": "https://a.b"})
    assert not [name for name in headers if name.startswith("access-control")]


def test_answers_as_tensor_content(own_server, models):
    flags = [f"--model_base_path={models / 'lite_half_plus_two'}", "--enable_serialization_as_tensor_content"]
    with own_server(LITE, *flags) as server:
        found = server.prediction.Predict(predict_request(X), timeout=10).outputs["y"]
        assert found.tensor_content == b"\x00\x00\x40\x40"
        assert list(found.float_val) == []
