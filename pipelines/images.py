"""The images that a compiled pipeline names: of the configuration, and of the command line."""

import os
from collections.abc import Sequence

from forecasting.config import AlmanacConfig
from forecasting.errors import ConfigError


def set_images(config: AlmanacConfig, images: Sequence[str]) -> None:
    """Set them in the environment; components read them from there when they are imported.

    Args:
        config: Its section cluster.images.
        images: TARGET=IMAGE, going before those.

    Raises:
        ConfigError: One is written otherwise, or has no target of the Dockerfile.
    """
    from components.images import DEFAULTS, VARIABLE_PREFIX

    for configured, image in config.cluster.images.items():
        os.environ[VARIABLE_PREFIX + configured.upper()] = image
    for text in images:
        target, separator, image = text.partition("=")
        if not separator or target not in DEFAULTS or not image:
            raise ConfigError(f"--image must be TARGET=IMAGE with a target of {', '.join(DEFAULTS)}, found {text!r}")
        os.environ[VARIABLE_PREFIX + target.upper()] = image
