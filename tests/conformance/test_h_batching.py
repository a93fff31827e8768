"""Group H: batching parameters."""

import os
import shutil
import threading

import grpc
import pytest

from tests.conformance import fixture_models
from tests.conformance.running import run_to_end, started
from tests.conformance.test_e_grpc import INVALID, predict_request, refused, tensor
from tests.conformance.test_f_lifecycle import LITE, entry, write_config

PAGE = "/monitoring/prometheus/metrics"
SMALL = "max_batch_size { value: 4 } batch_timeout_micros { value: 500000 } num_batch_threads { value: 1 }"


@pytest.fixture(scope="module")
def batching(models, monitoring, tmp_path_factory):
    """Starts servers of the half plus two and the odd model with batching parameters."""
    if "TFS_GRPC" in os.environ:
        pytest.skip("needs a server with flags of its own; set TFS_COMMAND instead of TFS_GRPC")

    def start(parameters, *flags):
        folder = tmp_path_factory.mktemp("batching")
        (folder / "batching").write_text(parameters)
        entries = [entry(name, models / fixture_models.SERVED[name]) for name in ("default", "odd")]
        config = write_config(folder / "c", *entries)
        return started(
            [
                config,
                "--enable_batching",
                f"--batching_parameters_file={folder / 'batching'}",
                f"--monitoring_config_file={monitoring}",
                *flags,
            ],
            folder / "log",
            wait=("default", "odd"),
        )

    return start


@pytest.fixture(scope="module")
def small(batching):
    """Batches of four rows, half a second, one thread."""
    with batching(SMALL, "--rest_api_timeout_in_ms=100") as server:
        yield server


def ask(server, proto, model="default", **spec):
    return server.prediction.Predict(predict_request({"x": proto}, model=model, **spec), timeout=30)


def together(*calls):
    """Results or errors of calls made at the same time."""
    found = [None] * len(calls)

    def run(position, call):
        try:
            found[position] = call()
        except grpc.RpcError as error:
            found[position] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def counter(server, name):
    page = server.ask("GET", PAGE)[2].decode()
    return next((float(line.split()[-1]) for line in page.splitlines() if line.startswith(name + "{")), 0.0)


def test_h1_two_requests_make_one_run_and_each_gets_its_rows(small):
    name = ":tensorflow:serving:batching_session:wrapped_run_count"
    before = counter(small, name)
    first, second = together(lambda: ask(small, tensor([1.0, 2.0])), lambda: ask(small, tensor([3.0, 4.0])))
    assert [list(answer.outputs["y"].float_val) for answer in (first, second)] == [[2.5, 3.0], [3.5, 4.0]]
    assert counter(small, name) == before + 1
    page = small.ask("GET", PAGE)[2].decode()
    for series in (
        "processed_batch_size_count{",
        "input_batch_size_count{",
        'padding_size_count{execution_batch_size="4"}',
    ):
        assert f":tensorflow:serving:batching_session:{series}" in page
    assert ":tensorflow:serving:batching_session:queuing_latency_count{thread_pool_name=" in page


def test_h2_a_request_larger_than_a_batch_is_refused(small):
    text = "Task size 5 is larger than maximum input batch size 4"
    refused(small.prediction.Predict, predict_request({"x": tensor([1.0] * 5)}), INVALID, text)
    status, answer = small.post("/v1/models/default:predict", {"instances": [1.0] * 5})
    assert status == 400
    assert text in answer["error"]


def test_h4_inputs_need_rows_and_as_many_of_them(small):
    refused(
        small.prediction.Predict,
        predict_request({"x": tensor([1.0], shape=[])}),
        INVALID,
        "Batching Run() input tensors must have at least one dimension",
    )
    inputs = {"x": tensor([1.0, 2.0]), "z": tensor([1.0])}
    request = predict_request(inputs, model="odd", signature="pair")
    refused(
        small.prediction.Predict, request, INVALID, "Batching Run() input tensors must have equal 0th-dimension size"
    )


def test_h5_shapes_that_differ_fail_together(small):
    calls = [lambda n=n: ask(small, tensor([1.0] * n * n, shape=[1, n, n]), "odd", signature="cube") for n in (2, 3)]
    for error in together(*calls):
        assert isinstance(error, grpc.RpcError)
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert "have different shapes and padding is turned off" in error.details()


def test_h7_waiting_longer_than_the_timeout_is_429(small):
    status, answer = small.post("/v1/models/default:predict", {"instances": [1.0]})
    assert status == 429
    assert "Run() timeout exceeded while waiting in batching queue" in answer["error"]


def test_h2_large_requests_are_split_where_that_is_asked_for(batching):
    parameters = SMALL.replace("500000", "0") + (
        " enable_large_batch_splitting { value: true } max_execution_batch_size { value: 2 } pad_variable_length_inputs: true"
    )
    with batching(parameters) as server:
        answer = ask(server, tensor([float(i) for i in range(5)]))
        assert list(answer.outputs["y"].float_val) == [2.0, 2.5, 3.0, 3.5, 4.0]
        assert counter(server, ":tensorflow:serving:batching_session:wrapped_run_count") == 3


def test_h6_padding_makes_shapes_equal_and_allowed_sizes_fill_up(batching):
    parameters = SMALL + " pad_variable_length_inputs: true allowed_batch_sizes: 1 allowed_batch_sizes: 4"
    with batching(parameters) as server:
        calls = [
            lambda n=n: ask(server, tensor([1.0] * n * n, shape=[1, n, n]), "odd", signature="cube") for n in (2, 3)
        ]
        for answer in together(*calls):
            assert [dim.size for dim in answer.outputs["y"].tensor_shape.dim] == [1, 3, 3]
            assert list(answer.outputs["y"].float_val) == [2.0] * 9
        page = server.ask("GET", PAGE)[2].decode()
        assert ':tensorflow:serving:batching_session:padding_size_sum{execution_batch_size="4"} 2' in page


def test_h8_the_last_allowed_size_must_be_the_largest(models, tmp_path):
    (tmp_path / "batching").write_text("max_batch_size { value: 8 } allowed_batch_sizes: 1 allowed_batch_sizes: 4")
    found = run_to_end(
        [
            f"--model_base_path={models / 'half_plus_two'}",
            "--enable_batching",
            f"--batching_parameters_file={tmp_path / 'batching'}",
        ]
    )
    assert found.returncode != 0
    assert "Last entry in allowed_batch_sizes must match max_batch_size" in found.stdout + found.stderr


def test_h9_a_parameters_file_without_batching_is_refused(models, tmp_path):
    (tmp_path / "batching").write_text("max_batch_size { value: 8 }")
    found = run_to_end(
        [f"--model_base_path={models / 'half_plus_two'}", f"--batching_parameters_file={tmp_path / 'batching'}"]
    )
    assert found.returncode != 0
    assert "enable_batching" in found.stdout + found.stderr


def test_h10_parameters_of_a_version_replace_the_global_ones(own_server, models, tmp_path):
    for name in ("own", "none"):
        shutil.copytree(models / "lite_half_plus_two" / "123", tmp_path / name / "1")
    (tmp_path / "own" / "1" / "batching_params.pbtxt").write_text("max_batch_size { value: 2 }")
    config = write_config(tmp_path / "c", *(entry(name, tmp_path / name) for name in ("own", "none")))
    flags = ["--enable_batching", "--enable_per_model_batching_parameters"]
    with own_server(LITE, config, *flags, wait=("own", "none")) as server:
        text = "Task size 3 is larger than maximum input batch size 2"
        refused(server.prediction.Predict, predict_request({"x": tensor([1.0] * 3)}, model="own"), INVALID, text)
        assert list(ask(server, tensor([2.0] * 3), "none").outputs["y"].float_val) == [3.0] * 3
