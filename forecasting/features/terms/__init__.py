"""Features derived from one value column: what each is called, how far back it looks, how it is computed."""

from forecasting.features.terms.base import TERM_KINDS, Term, term_document, term_from_document
from forecasting.features.terms.events import DegreeDaysTerm, PresentTerm, SinceEventTerm
from forecasting.features.terms.levels import DifferenceTerm, LagTerm, RatioTerm
from forecasting.features.terms.rolling import ExponentialMeanTerm, QuantileTerm, RollingTerm, SeasonalTerm

__all__ = [
    "TERM_KINDS",
    "DegreeDaysTerm",
    "DifferenceTerm",
    "ExponentialMeanTerm",
    "LagTerm",
    "PresentTerm",
    "QuantileTerm",
    "RatioTerm",
    "RollingTerm",
    "SeasonalTerm",
    "SinceEventTerm",
    "Term",
    "term_document",
    "term_from_document",
]
