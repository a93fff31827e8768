"""The form of every derived feature, and the list of their kinds."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeVar

from forecasting.features.columns import ColumnBlock
from forecasting.features.namespace import Array


@dataclass(frozen=True)
class Term(ABC):
    """One derived feature of one column.

    kind: its name in a configuration. formula, unit: for people; x is the scaled column, t the step,
    and missing values are left out of every sum and extreme. relative: whether the feature grows with
    its column, so that it is divided by the scale of a window where the target is scaled by window;
    has_level: whether it also moves up and down with it.
    """

    column: str

    kind: ClassVar[str]
    formula: ClassVar[str]
    unit: ClassVar[str]
    relative: ClassVar[bool] = True
    has_level: ClassVar[bool] = False

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the feature; differs between any two features of a model."""

    @property
    @abstractmethod
    def reach(self) -> int:
        """How many steps before the present one it reads."""

    @abstractmethod
    def compute(self, block: ColumnBlock) -> Array:
        """The feature, float32 `[B,T]`: 0 where nothing is known, never NaN."""


TERM_KINDS: dict[str, type[Term]] = {}
"""Every kind of derived feature by its name; the contract test of features holds each to a reference."""

_Kind = TypeVar("_Kind", bound=type[Term])


def registered(kind: _Kind) -> _Kind:
    """Add a kind to `TERM_KINDS`.

    Raises:
        ValueError: Its name is taken.
    """
    if kind.kind in TERM_KINDS:
        raise ValueError(f"two kinds of features are called {kind.kind!r}")
    TERM_KINDS[kind.kind] = kind
    return kind


def term_document(term: Term) -> dict[str, Any]:
    """A term as JSON knows it."""
    return {"kind": term.kind, **asdict(term)}


def term_from_document(document: Mapping[str, Any]) -> Term:
    """A term written by `term_document`.

    Raises:
        KeyError: The kind is unknown to this version.
    """
    parameters = dict(document)
    return TERM_KINDS[parameters.pop("kind")](**parameters)
