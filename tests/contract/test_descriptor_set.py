"""The descriptors in the package are those of the locked wheels."""

from tests.contract.descriptor_set import TARGET, descriptor_set


def test_the_descriptor_set_is_what_the_locked_wheels_define():
    text = "run `python -m tests.contract.descriptor_set` and commit the file"
    assert TARGET.read_bytes() == descriptor_set().SerializeToString(deterministic=True), text
