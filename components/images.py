"""Container images of the components, by target of the Dockerfile.

Read from the environment when a pipeline is compiled (`ALMANAC_IMAGE_STEPS`, `ALMANAC_IMAGE_TRAINER`,
`ALMANAC_IMAGE_SERVING`), because the image is part of a component's definition. Local runs use none.
"""

import os

from forecasting.version import VERSION

VARIABLE_PREFIX = "ALMANAC_IMAGE_"

DEFAULTS = {target: f"almanac/{target}:{VERSION}-python3.11" for target in ("steps", "trainer", "serving")}


def image(target: str) -> str:
    """Image of a Dockerfile target: `steps` (no TensorFlow), `trainer` (trains, converts or loads Keras models), `serving`."""
    return os.environ.get(VARIABLE_PREFIX + target.upper(), DEFAULTS[target])
