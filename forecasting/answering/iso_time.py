"""Times as answers and messages have them."""

import numpy as np


def iso_time(seconds: int) -> str:
    """Epoch seconds as ISO 8601 in UTC."""
    return str(np.datetime_as_string(np.datetime64(seconds, "s"), timezone="UTC"))
