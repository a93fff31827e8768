"""A Beam runner is taken with the options that it cannot do without, and only then."""

import pytest
from pydantic import ValidationError

from forecasting.config.features import FeaturesConfig

POOL = ("--environment_type=EXTERNAL", "--environment_config=localhost:50000")
DATAFLOW = ("--project=p", "--region=r", "--temp_location=gs://b/t", "--sdk_container_image=registry/steps")


@pytest.mark.parametrize(
    ("runner", "options", "missing"),
    [
        ("PortableRunner", POOL, "--job_endpoint"),
        ("PortableRunner", ("--job_endpoint=h:8099",), "--environment_type"),
        ("PortableRunner", ("--job_endpoint=", *POOL), "--job_endpoint"),
        ("PortableRunner", ("--job_endpoint=h:8099", "--environment_type=EXTERNAL"), "--environment_config"),
        ("PortableRunner", ("--job_endpoint=h:8099", "--environment_type=PROCESS"), "--environment_config"),
        ("DataflowRunner", DATAFLOW[1:], "--project"),
        ("DataflowRunner", DATAFLOW[:1], "--region, --temp_location, --sdk_container_image"),
    ],
)
def test_an_option_that_a_runner_needs_is_demanded(runner, options, missing):
    with pytest.raises(ValidationError, match=rf"beam_options must have {missing} for {runner}"):
        FeaturesConfig(beam_runner=runner, beam_options=options)


@pytest.mark.parametrize(
    ("runner", "options"),
    [
        ("DirectRunner", ()),
        ("PortableRunner", ("--job_endpoint=h:8099", *POOL)),
        ("PortableRunner", ("--job_endpoint=h:8099", "--environment_type=LOOPBACK")),
        ("DataflowRunner", DATAFLOW),
    ],
)
def test_a_runner_with_all_it_needs_is_taken(runner, options):
    assert FeaturesConfig(beam_runner=runner, beam_options=options).beam_options == options


def test_an_option_in_two_words_is_refused():
    with pytest.raises(ValidationError, match=r"must each be --name=value or --name; found 'h:8099'"):
        FeaturesConfig(beam_runner="PortableRunner", beam_options=("--job_endpoint", "h:8099", *POOL))


@pytest.mark.parametrize("runner", ["FlinkRunner", "SparkRunner"])
def test_a_runner_that_fetches_its_job_server_is_refused_and_the_way_is_named(runner):
    with pytest.raises(ValidationError, match=rf"{runner} fetches .* set beam_runner to PortableRunner"):
        FeaturesConfig(beam_runner=runner)


def test_dask_is_refused_because_it_gives_wrong_results():
    with pytest.raises(ValidationError, match="wrong results"):
        FeaturesConfig(beam_runner="DaskRunner")
