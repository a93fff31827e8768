"""What a proposal rests on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.validation.report import QuarantineRecord
from pipelines.initial.facts import TableFacts
from pipelines.initial.lengths import LengthsGuess
from pipelines.initial.look import TableLook
from pipelines.initial.publication import LagGuess
from pipelines.initial.roles import RolesGuess
from pipelines.initial.seasons import SeasonsGuess
from pipelines.initial.thresholds import NaiveReport


@dataclass(frozen=True)
class Evidence:
    """All that a proposal is made of. uri: of the table, as the configuration names it. naive: best season first."""

    name: str
    uri: str
    reading: Mapping[str, Any]
    look: TableLook
    roles: RolesGuess
    facts: TableFacts
    seasons: SeasonsGuess
    lengths: LengthsGuess
    naive: tuple[NaiveReport, ...]
    n_windows: int
    zone: str | None
    quarantined: tuple[QuarantineRecord, ...] = ()
    lags: tuple[LagGuess, ...] = ()
