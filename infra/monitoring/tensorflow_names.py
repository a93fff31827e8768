"""TensorFlow Serving's metrics under the names that they get when they are scraped.

Its own begin with a colon, which the conventions keep for recording rules.
"""

import re

from serving.model_server import metrics

PATTERN = ":tensorflow:(serving|core|cc):(.*)"
REPLACEMENT = "tensorflow_${1}_${2}"
_INNER = ":"


def scraped(name: str) -> str:
    """The name after relabelling; a colon further in is kept by Prometheus' replacement, so a second rule takes it.

    Raises:
        ValueError: The name is none of TensorFlow Serving's.
    """
    found = re.fullmatch(PATTERN, name)
    if found is None:
        raise ValueError(f"a metric of TensorFlow Serving must match {PATTERN}, {name!r} does not")
    return f"tensorflow_{found[1]}_{found[2]}".replace(_INNER, "_")


REQUEST_COUNT = scraped(metrics.REQUEST_COUNT)
REQUEST_LATENCY = scraped(metrics.REQUEST_LATENCY)
RUNTIME_LATENCY = scraped(metrics.RUNTIME_LATENCY)
QUEUING_LATENCY = scraped(metrics.QUEUING_LATENCY)
PROCESSED_BATCH_SIZE = scraped(metrics.PROCESSED_BATCH_SIZE)
LOAD_ATTEMPTS = scraped(metrics.LOAD_ATTEMPTS)
OTHER = (
    metrics.OWN_REQUESTS,
    metrics.OWN_LATENCY,
    metrics.OWN_REFUSED,
    metrics.OWN_IN_FLIGHT,
    metrics.OWN_LOAD_FAILURES,
)
"""The embedded server's own, which no official server has."""
SCRAPED = frozenset(scraped(name) for name in metrics.FAMILIES if name.startswith(":"))
