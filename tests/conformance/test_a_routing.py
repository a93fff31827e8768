"""Group A: paths, codes and headers of the REST interface."""

import gzip
import json

import pytest

from tests.conformance.fixture_models import ODD_NAME

P = "/v1/models/default:predict"


@pytest.mark.parametrize(
    ("path", "document", "answer"),
    [
        pytest.param(P, {"instances": [2.0, 3.0, 4.0]}, {"predictions": [3.0, 3.5, 4.0]}, id="A1"),
        pytest.param(P, {"inputs": [2.0, 3.0, 4.0]}, {"outputs": [3.0, 3.5, 4.0]}, id="A2"),
        pytest.param(P, {"instances": [[1.0, 2.0], [3.0, 4.0]]}, {"predictions": [[2.5, 3.0], [3.5, 4.0]]}, id="A3"),
        pytest.param(
            "/v1/models/default/versions/123:predict", {"instances": [1.0, 2.0]}, {"predictions": [2.5, 3.0]}, id="A4"
        ),
        pytest.param(
            "/v1/models/default/versions/123:predict",
            {"signature_name": "serving_default", "inputs": [3.0, 4.0]},
            {"outputs": [3.5, 4.0]},
            id="A5",
        ),
        pytest.param(
            "/V1/Models/default:predict", {"instances": [2.0]}, {"predictions": [3.0]}, id="A17 path in any case"
        ),
        pytest.param(
            "/v1/models/default/Versions/0123:predict",
            {"instances": [2.0]},
            {"predictions": [3.0]},
            id="A4 leading zero",
        ),
    ],
)
def test_predictions(server, path, document, answer):
    assert server.post(path, document) == (200, answer)


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        pytest.param("GET", "/v1/models", "Missing model name in request.", id="A7"),
        pytest.param(
            "GET", "/v1/models/debug/model_name", "Malformed request: GET /v1/models/debug/model_name", id="A8a"
        ),
        pytest.param("POST", "/v1/models", "Malformed request", id="A8b"),
        pytest.param("GET", "/v1/models/foo:predict", "Malformed request", id="A8c"),
        pytest.param("GET", "/v1/models/foo/version/50:predict", "Malformed request", id="A8d"),
        pytest.param("POST", "/v1/models/foo/version/50:regress", "Malformed request", id="A8e"),
        pytest.param("POST", "/v1/models/foo/versions/HELLO:regress", "Malformed request", id="A8f"),
        pytest.param("POST", "/v1/models/foo/metadata", "Malformed request", id="A8g"),
        pytest.param("POST", "/v1/models/foo/label/some_label:regress", "Malformed request", id="A8h"),
        pytest.param("POST", "/v1/models/foo/versions/50/labels/x:regress", "Malformed request", id="A8i"),
        pytest.param("POST", "/v1/models/default:PREDICT", "Malformed request", id="A8 verb in capitals"),
        pytest.param("POST", "/v1/anything", "Malformed request: POST /v1/anything", id="A8 other path"),
        pytest.param("PUT", P, f"Malformed request: PUT {P}", id="A16"),
        pytest.param("DELETE", P, f"Malformed request: DELETE {P}", id="A16 delete"),
        pytest.param("POST", P + "?x=1", "Malformed request", id="A19"),
        pytest.param(
            "POST",
            "/v1/models/foo/versions/99999999999999999999:predict",
            "Failed to convert version",
            id="A8 version too large",
        ),
    ],
)
def test_malformed_requests_are_400_with_one_key(server, method, path, text):
    status, headers, body = server.ask(method, path, b'{"instances": [1.0]}')
    document = json.loads(body)
    assert (status, list(document)) == (400, ["error"])
    assert text in document["error"]
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("path", "body", "code", "text"),
    [
        pytest.param("foo", {"instances": [1]}, 404, "Servable not found for request: Latest(foo)", id="A10"),
        pytest.param(
            "foo/versions/50", {"instances": [1]}, 404, "Servable not found for request: Specific(foo, 50)", id="A11"
        ),
        pytest.param(
            "default/labels/nope", {"instances": ["x", "y"]}, 400, "Unrecognized servable version label: nope", id="A13"
        ),
        pytest.param("foo", b"not json", 400, "JSON Parse error: ", id="A14"),
        pytest.param("foo", b"{}", 404, "Latest(foo)", id="A14 model before keys"),
    ],
)
def test_what_does_not_exist_is_named(default, path, body, code, text):
    status, document = default(body, path)
    assert status == code
    assert text in document["error"]


def test_a10_the_error_body_is_exact(default):
    assert default({"instances": [1]}, "foo") == (404, {"error": "Servable not found for request: Latest(foo)"})


def test_a17_the_path_matches_in_any_case(server):
    status, document = server.get("/V1/Models/default")
    assert (status, document["model_version_status"][0]["version"]) == (200, "123")


def test_a20_names_are_decoded(server):
    quoted = "modelname%21%23%24%25%26%27%28%29%2A%2B%2C%2F%3A%3B%3D%3F%40%5B%5D"
    assert server.get(f"/v1/models/{quoted}")[0] == 200
    assert server.post(f"/v1/models/{quoted}:predict", {"instances": [2.0]}) == (200, {"predictions": [4.0]})
    assert server.get(f"/v1/models/{quoted}/metadata")[1]["model_spec"]["name"] == ODD_NAME


def test_a22_a_gzipped_body_is_read_and_the_answer_is_not_compressed(server):
    body = gzip.compress(b'{"instances": [2.0, 3.0, 4.0]}')
    status, headers, text = server.ask("POST", P, body, {"Content-Encoding": "gzip", "Accept-Encoding": "gzip"})
    assert (status, json.loads(text)) == (200, {"predictions": [3.0, 3.5, 4.0]})
    assert "content-encoding" not in headers


def test_a23_a_body_that_is_not_gzip_counts_as_empty(server):
    status, document = server.post(P, b'{"instances": [2.0]}', {"Content-Encoding": "gzip"})
    assert (status, document) == (400, {"error": "JSON Parse error: The document is empty"})


def test_a23_a_gzip_body_that_ends_early_counts_as_empty_too(server):
    status, document = server.post(P, gzip.compress(b'{"instances": [2.0]}')[:-4], {"Content-Encoding": "gzip"})
    assert (status, document) == (400, {"error": "JSON Parse error: The document is empty"})


def test_a24_outside_the_interface_there_is_nothing(server):
    status, headers, _ = server.ask("GET", "/nothing/here")
    assert status == 404
    assert headers["content-type"].startswith("text/html")


def test_a25_the_answer_says_json(server):
    _, headers, _ = server.ask("POST", P, b'{"instances": [1.0]}')
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "path", "code", "text"),
    [
        pytest.param("GET", "/v1/models/default/METADATA", 200, "model_version_status", id="A26 metadata in capitals is status"),
        pytest.param("POST", "/v1/models/default:PREDICT", 400, "Malformed request: POST", id="A26 predict in capitals"),
        pytest.param("GET", "/v1/models/de%66ault", 200, "model_version_status", id="A26 percent"),
        pytest.param("GET", "/v1/models/default/versions/0123", 200, '"123"', id="A26 leading zero"),
        pytest.param("GET", "/v1/models/default/versions/9223372036854775808", 400, "Failed to convert version: 9223372036854775808 to numeric.", id="A26 huge version"),
        pytest.param("POST", "/v1/models/default/versions/9223372036854775808:predict", 400, "to numeric.", id="A26 huge version of predict"),
        pytest.param("GET", "/v1/models/default/", 400, "Malformed request: GET /v1/models/default/", id="A26 slash"),
        pytest.param("GET", "/v1/models/", 400, "Malformed request: GET /v1/models/", id="A26 no name"),
        pytest.param("DELETE", "/v1/models/default", 400, "Malformed request: DELETE /v1/models/default", id="A26 delete"),
        pytest.param("GET", "/v1", 404, "Not Found", id="A26 outside"),
    ],
)  # fmt: skip
def test_other_paths(server, method, path, code, text):
    status, _, body = server.ask(method, path, b"{}" if method == "POST" else None)
    assert status == code
    assert text in body.decode()
