"""What names of columns tell: the words in them, and which words hint at which role."""

import re

TIME_WORDS = frozenset({"time", "timestamp", "date", "datetime", "ds", "ts", "day", "hour", "week", "period", "datum", "zeit"})  # fmt: skip
ID_WORDS = frozenset({
    "id", "series", "item", "store", "shop", "product", "sku", "article", "station", "sensor", "meter", "customer",
    "region", "site", "location", "plant", "device", "key", "code", "name", "branch", "department", "dept", "warehouse",
    "country", "city", "state", "zone", "machine", "line", "household",
})  # fmt: skip
TARGET_WORDS = (
    "target", "y", "demand", "sales", "load", "consumption", "usage", "sold", "quantity", "qty", "units", "volume", "orders",
    "visits", "visitors", "passengers", "users", "riders", "rides", "trips", "rentals", "flights", "revenue", "turnover",
    "generation", "production", "traffic", "count", "cnt", "value", "pm",
)  # fmt: skip
"""Words that name what people forecast, the surest first."""
PLAN_WORDS = frozenset({
    "promo", "promotion", "promotions", "discount", "price", "tariff", "holiday", "holidays", "school", "weekend", "weekday",
    "workday", "working", "open", "closed", "closure", "plan", "planned", "schedule", "scheduled", "budget", "campaign",
    "event", "launch", "calendar", "hour", "day", "dow", "week", "month", "quarter", "year", "forecast", "forecasted",
})  # fmt: skip
"""Words for what is decided or known before it happens."""
SURPRISE_WORDS = frozenset({"outage", "failure", "fault", "alarm", "error", "broken", "stock", "stockout", "oos", "inventory", "actual"})  # fmt: skip
"""Words for what nobody knows before it happens, although it may look like a flag."""
ISSUE_NAMES = frozenset({
    "issuedat", "issued", "issuetime", "issuedate", "issuedtime", "forecastreferencetime", "referencetime", "initialtime", "inittime",
    "analysistime", "vintage",
})  # fmt: skip
"""Names, their words joined, of columns that say when a row was issued."""
TOTAL_WORDS = frozenset({"sales", "sold", "quantity", "qty", "units", "orders", "visits", "visitors", "passengers", "users", "riders", "rides", "trips", "rentals", "flights", "revenue", "turnover", "count", "cnt", "rain", "rainfall", "precipitation"})  # fmt: skip
"""Words for amounts that add up over time, where others have a level."""
TEMPERATURE_WORDS = frozenset({"temperature", "temp", "temperatur", "tmean", "tavg", "tair", "airtemp", "t2m"})
"""Words for the temperature of the air, from which comes what heats and cools."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def words_of(name: str) -> tuple[str, ...]:
    """Words of a name in lower case: `DaysSince_launch` has days, since and launch."""
    return tuple(word.lower() for word in _WORD.findall(name))


def has_word(name: str, words: frozenset[str]) -> bool:
    """Whether one of the words is in the name."""
    return not words.isdisjoint(words_of(name))


def target_rank(name: str) -> int | None:
    """Place of the surest target word in the name, 0 the surest; none where there is none, or a plan's word too."""
    if has_word(name, PLAN_WORDS):
        return None
    ranks = [TARGET_WORDS.index(word) for word in words_of(name) if word in TARGET_WORDS]
    return min(ranks, default=None)


def names_issue(name: str) -> bool:
    """Whether a column says by its name when a row was issued, as in a table of forecasts by vintage."""
    return "".join(words_of(name)) in ISSUE_NAMES


def names_stock_out(name: str) -> bool:
    """Whether a column says by its name where something was sold out."""
    joined = "".join(words_of(name))
    return any(word in joined for word in ("stockout", "outofstock", "soldout")) or has_word(name, frozenset({"oos"}))


def names_holiday(name: str) -> bool:
    """Whether a column says by its name which days are holidays."""
    return has_word(name, frozenset({"holiday", "holidays"}))
