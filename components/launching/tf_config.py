"""TF_CONFIG of a worker whose operator makes none: from the addresses of all of them and the number of its pod."""

import json
import os
from collections.abc import Mapping, MutableMapping, Sequence

from forecasting.errors import ConfigError

ADDRESSES_VARIABLE = "ALMANAC_WORKER_ADDRESSES"
"""HOST:PORT of every worker, by commas, in the order of their numbers."""
INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
"""Number of a pod, set by Kubernetes in the pods of an indexed job."""
CLUSTER_VARIABLE = "TF_CONFIG"


def worker_cluster(addresses: Sequence[str], index: int) -> str:
    """TF_CONFIG of one worker, as JSON. Worker 0 is the chief.

    Args:
        addresses: HOST:PORT of every worker.
        index: Number of this one.

    Raises:
        ConfigError: There is no such worker, or an address is named twice.
    """
    if not 0 <= index < len(addresses):
        raise ConfigError(
            f"{INDEX_VARIABLE} must be the number of one of {len(addresses)} workers, from 0, found {index}"
        )
    if len(set(addresses)) < len(addresses):
        raise ConfigError(f"{ADDRESSES_VARIABLE} must name each worker once, found {', '.join(addresses)}")
    return json.dumps({"cluster": {"worker": list(addresses)}, "task": {"type": "worker", "index": index}})


def set_worker_cluster(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set TF_CONFIG, unless an operator did or there is one worker alone.

    Raises:
        ConfigError: The variables do not fit together.
    """
    addresses = environment.get(ADDRESSES_VARIABLE)
    if CLUSTER_VARIABLE in environment or not addresses:
        return
    number = environment.get(INDEX_VARIABLE, "")
    if not number.isdigit():
        raise ConfigError(f"{INDEX_VARIABLE} must be the number of this worker, found {number!r}")
    environment[CLUSTER_VARIABLE] = worker_cluster(addresses.split(","), int(number))


def worker_number(environment: Mapping[str, str] = os.environ) -> int:
    """Number of this worker by its TF_CONFIG; 0 where it is alone.

    Raises:
        ConfigError: TF_CONFIG is none.
    """
    text = environment.get(CLUSTER_VARIABLE)
    if not text:
        return 0
    try:
        task = json.loads(text)["task"]
        return int(task["index"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{CLUSTER_VARIABLE} must say which worker this is, found {text[:200]!r}") from error
