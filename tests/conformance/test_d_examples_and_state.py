"""Group D: classify, regress, status and metadata over REST."""

import numpy as np
import pytest
from google.protobuf import json_format
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import get_model_metadata_pb2

AVAILABLE = {"version": "123", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}


@pytest.mark.parametrize(
    ("verb", "document", "results"),
    [
        pytest.param(
            "classify", {"signature_name": "classify_x_to_y", "examples": [{"x": 2.0}]}, [[["", 3.0]]], id="D1"
        ),
        pytest.param(
            "classify", {"signature_name": "classify_x_to_y", "examples": [{"x": 20.0}]}, [[["", 12.0]]], id="D1 larger"
        ),
        pytest.param("regress", {"signature_name": "regress_x_to_y", "examples": [{"x": 80.0}]}, [42.0], id="D2"),
        pytest.param(
            "regress",
            {"signature_name": "regress_x_to_y2", "examples": [{"x": [2.0]}, {"x": 4.0}]},
            [4.0, 5.0],
            id="D2 several",
        ),
        pytest.param(
            "regress",
            {"signature_name": "regress_x_to_y", "context": {"x": 2.0}, "examples": [{}]},
            [3.0],
            id="D3 context",
        ),
    ],
)
def test_examples(server, verb, document, results):
    assert server.post(f"/v1/models/default:{verb}", document) == (200, {"results": results})


@pytest.mark.parametrize(
    ("verb", "document", "text"),
    [
        pytest.param("regress", {"examples": [{"x": 80.0}]}, "No regression inputs found in SignatureDef", id="D4"),
        pytest.param(
            "classify", {"examples": [{"x": 80.0}]}, "No classification inputs found in SignatureDef", id="D4 classify"
        ),
        pytest.param(
            "regress",
            {"signature_name": "nope", "examples": [{"x": 1.0}]},
            "No signature was found with the name: nope",
            id="D4 unknown",
        ),
        pytest.param(
            "regress",
            {"signature_name": "classify_x_to_y", "examples": [{"x": 1.0}]},
            "No regression outputs found in SignatureDef",
            id="D4 other kind",
        ),
        pytest.param("regress", {"signature_name": "regress_x_to_y", "examples": [{}]}, "x", id="D4 missing feature"),
    ],
)
def test_examples_that_are_refused(server, verb, document, text):
    status, answer = server.post(f"/v1/models/default:{verb}", document)
    assert status == 400
    assert text in answer["error"]


def test_d5_the_status_of_a_model(server):
    assert server.get("/v1/models/default") == (200, {"model_version_status": [AVAILABLE]})


def test_d6_the_status_of_a_version(server):
    assert server.get("/v1/models/default/versions/123") == (200, {"model_version_status": [AVAILABLE]})


@pytest.mark.parametrize(
    ("path", "text"),
    [
        pytest.param("default/versions/99", "Could not find version 99 of model default", id="D7"),
        pytest.param("foo", "Could not find any versions of model foo", id="D8"),
        pytest.param("foo/metadata", "Servable not found for request: Latest(foo)", id="D12"),
        pytest.param("default/versions/99/metadata", "Specific(default, 99)", id="D13 version"),
    ],
)
def test_what_is_not_there_is_404(server, path, text):
    status, answer = server.get(f"/v1/models/{path}")
    assert status == 404
    assert text in answer["error"]


def test_d9_versions_come_highest_first(server):
    _, answer = server.get("/v1/models/two_versions")
    assert [entry["version"] for entry in answer["model_version_status"]] == ["124", "123"]


def test_d10_labels_are_ignored_by_the_status(server):
    assert server.get("/v1/models/default/labels/doesnotexist") == (200, {"model_version_status": [AVAILABLE]})


def test_d11_metadata_is_the_signature_map_in_full(server, models):
    status, answer = server.get("/v1/models/default/metadata")
    assert status == 200
    assert answer["model_spec"] == {"name": "default", "signature_name": "", "version": "123"}
    raw = (models / "half_plus_two" / "00000123" / "saved_model.pb").read_bytes()
    expected = get_model_metadata_pb2.SignatureDefMap()
    for key, signature in saved_model_pb2.SavedModel.FromString(raw).meta_graphs[0].signature_def.items():
        expected.signature_def[key].CopyFrom(signature)
    wanted = json_format.MessageToDict(
        expected, always_print_fields_with_no_presence=True, preserving_proto_field_name=True
    )
    assert answer["metadata"] == {"signature_def": wanted}


def test_d13_metadata_of_a_version_and_of_an_unknown_label(server):
    status, answer = server.get("/v1/models/default/versions/123/metadata")
    assert (status, answer["model_spec"]["version"]) == (200, "123")
    status, answer = server.get("/v1/models/default/labels/nope/metadata")
    assert status == 400
    assert "Unrecognized servable version label: nope" in answer["error"]


def test_d14_metadata_in_capitals_is_the_status(server):
    assert server.get("/v1/models/default/METADATA") == (200, {"model_version_status": [AVAILABLE]})


def test_d15_scores_print_as_floats(server):
    _, answer = server.post(
        "/v1/models/default:regress", {"signature_name": "regress_x_to_y", "examples": [{"x": 0.2}]}
    )
    assert np.float32(answer["results"][0]) == np.float32(2.1)
