from components.compression.narrowing_notes import narrowing_note, nothing_taken
from forecasting.config.models import SegmentLstmConfig
from forecasting.neural.compression.inputs import InputsRecord
from forecasting.neural.compression.structured import NarrowingRecord, NarrowNetwork
from forecasting.neural.models import NetworkSpec, build_network
from tests.unit.features.feature_specs import melbourne_spec

SPEC = NetworkSpec(melbourne_spec(), SegmentLstmConfig(units=1, head_units=1, step_units=1))
LOST = NarrowingRecord({}, 10, 0.125, within_budget=False, duration_s=1.0)


def found(*rounds: NarrowingRecord, out_of_time: bool = False) -> NarrowNetwork:
    return NarrowNetwork(build_network(SPEC), SPEC, rounds, out_of_time=out_of_time)


def test_why_nothing_was_taken_out_tells_no_time_from_nothing_to_take_and_from_too_much_lost() -> None:
    assert "there was no time for a first round" in nothing_taken(found(out_of_time=True))
    assert "every width of the model is as small" in nothing_taken(found())
    assert nothing_taken(found(LOST)).endswith("the first round lost 12.50%")


def test_the_note_says_what_went_and_why_no_more() -> None:
    idle = InputsRecord(("wind",), 24, 0.0)
    first = "without wind; reads 24 of 48 steps"
    assert narrowing_note(found(), idle, SPEC.features) == first
    assert (
        narrowing_note(found(LOST), idle, SPEC.features)
        == f"{first}; with all units, of which the first round lost 12.50%"
    )
    late = "0 rounds of structured pruning, for more there was no time"
    assert narrowing_note(found(out_of_time=True), idle, SPEC.features) == f"{first}; {late}"
