"""What structured pruning came to, in words: notes of variants, and why there is none."""

from typing import TYPE_CHECKING

from forecasting.features.spec import FeatureSpec

if TYPE_CHECKING:
    from forecasting.neural.compression.inputs import InputsRecord
    from forecasting.neural.compression.structured import NarrowNetwork


def narrowing_note(found: "NarrowNetwork", idle: "InputsRecord", spec: FeatureSpec) -> str:
    """What a network does without, and why not without more.

    Args:
        found: The network.
        idle: Inputs that were taken out.
        spec: What the trained network reads.
    """
    columns = f"without {', '.join(idle.dropped)}" if idle.dropped else ""
    context = f"reads {idle.context} of {spec.context} steps" if idle.context < spec.context else ""
    return "; ".join(filter(None, (columns, context, _rounds_note(found))))


def nothing_taken(found: "NarrowNetwork") -> str:
    """Why a network lost neither inputs nor units."""
    if found.out_of_time:
        return "no units were taken out: there was no time for a first round; raise compression.time_budget_s"
    if not found.rounds:
        return "no units were taken out: every width of the model is as small as a round can make it"
    least = min(record.loss_ratio for record in found.rounds)
    return f"no units could be taken out within compression.max_accuracy_loss; the first round lost {least:.2%}"


def _rounds_note(found: "NarrowNetwork") -> str:
    if found.out_of_time:
        return f"{len(found.specs)} rounds of structured pruning, for more there was no time"
    if found.rounds and not found.specs:
        return f"with all units, of which the first round lost {found.rounds[0].loss_ratio:.2%}"
    return ""
