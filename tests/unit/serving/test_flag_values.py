"""Values of flags and of the files they name: what cannot be used is said before anything is served."""

import pytest

from serving.model_server.flags import parse_flags
from serving.model_server.status import RequestError, StatusCode
from serving.model_server.text_files import metrics_path

BASE = "--model_base_path=/models"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("num_batch_threads { value: -2 }", "num_batch_threads must be positive; was -2"),
        ("num_batch_threads { value: 0 }", "num_batch_threads must be positive; was 0"),
        ("max_batch_size { value: -1 }", "input_batch_size_limit must be positive; was -1"),
        ("batch_timeout_micros { value: -5 }", "batch_timeout_micros must be non-negative; was -5"),
        ("max_enqueued_batches { value: 0 }", "max_enqueued_batches must be positive; was 0"),
        ("max_batch_size { value: 4 } allowed_batch_sizes: -1 allowed_batch_sizes: 4", "allowed_batch_sizes entries"),
        (
            "max_batch_size { value: 4 } enable_large_batch_splitting { value: true } max_execution_batch_size { value: 8 }",
            "input_batch_size_limit must be greater than or equal to max_execution_batch_size",
        ),
    ],
)
def test_batching_parameters_that_cannot_be_used_are_refused(tmp_path, text, message):
    file = tmp_path / "batching"
    file.write_text(text)
    with pytest.raises(RequestError, match=message) as caught:
        parse_flags([BASE, "--enable_batching", f"--batching_parameters_file={file}"])
    assert caught.value.code == StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--n_worker_threads=0", "--n_worker_threads must be at least 1, found 0"),
        ("--num_processes=0", "--num_processes must be at least 1, found 0"),
        ("--max_body_bytes=-1", "--max_body_bytes must be at least 1, found -1"),
        ("--drain_seconds=-1", "--drain_seconds must be at least 0, found -1.0"),
        ("--rest_api_timeout_in_ms=0", "--rest_api_timeout_in_ms must be at least 1, found 0"),
    ],
)
def test_limits_below_their_least_are_refused(flag, message):
    with pytest.raises(RequestError, match=message):
        parse_flags([BASE, flag])


def test_a_path_of_the_metrics_page_begins_with_a_slash(tmp_path):
    file = tmp_path / "monitoring"
    file.write_text('prometheus_config { enable: true path: "metrics" }')
    with pytest.raises(RequestError, match="must begin with '/', found 'metrics'"):
        metrics_path(file)


def test_there_is_an_interpreter_for_each_batch_thread_and_the_event_loop(tmp_path):
    file = tmp_path / "batching"
    file.write_text("num_batch_threads { value: 300 }")
    config = parse_flags([BASE, "--enable_batching", f"--batching_parameters_file={file}"])
    assert config.limits.n_workers == 300
    assert config.loading.backend.n_interpreters == 301


def test_an_address_of_ipv6_stands_in_brackets_before_the_port():
    assert parse_flags([BASE, "--bind_address=::1", "--port=1"]).grpc.address == "[::1]:1"
    assert parse_flags([BASE, "--bind_address=[::1]", "--port=1"]).bind_address == "::1"
