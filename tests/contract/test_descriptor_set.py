"""The descriptors in the package are those of the locked wheels."""

from tests.contract import forecasts_descriptor
from tests.contract.descriptor_set import TARGET, descriptor_set


def test_the_descriptor_set_is_what_the_locked_wheels_define():
    text = "run `python -m tests.contract.descriptor_set` and commit the file"
    assert TARGET.read_bytes() == descriptor_set().SerializeToString(deterministic=True), text


def test_the_gateways_descriptors_are_those_of_its_proto_file():
    text = "run `python -m tests.contract.forecasts_descriptor` and commit the file"
    assert forecasts_descriptor.TARGET.read_bytes() == forecasts_descriptor.compiled(), text
