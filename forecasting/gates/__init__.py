"""Gates: measured values against the limits of the configuration.

A gate is a list of rules. A rule that could not be measured has the value NaN and does not pass. A
refusal is a result, not an exception: it says which rules failed and by how much.
"""

from forecasting.gates.model import (
    ChampionGateReport,
    ModelGateReport,
    PartReport,
    SliceGateReport,
    judge_model,
    sanity_rules,
)
from forecasting.gates.rules import (
    NAN,
    Direction,
    GateDecision,
    GateResult,
    GateRule,
    decide,
    read_decision,
    write_decision,
)
from forecasting.gates.shipping import ChampionLimit, VariantGateReport, compressed_rules, serving_rules

__all__ = [
    "NAN",
    "ChampionGateReport",
    "ChampionLimit",
    "Direction",
    "GateDecision",
    "GateResult",
    "GateRule",
    "ModelGateReport",
    "PartReport",
    "SliceGateReport",
    "VariantGateReport",
    "compressed_rules",
    "decide",
    "judge_model",
    "read_decision",
    "sanity_rules",
    "serving_rules",
    "write_decision",
]
