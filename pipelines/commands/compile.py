"""`almanac compile`."""

import argparse
import os
import sys
from pathlib import Path

from forecasting.config import load_config
from forecasting.errors import ConfigError, NotInThisVersionError


def compile_pipeline(arguments: argparse.Namespace) -> int:
    """Write the graph as Kubeflow Pipelines IR. Equal configurations give equal bytes."""
    if arguments.format != "kfp":
        raise NotInThisVersionError(f"almanac compile --format {arguments.format} is not in this version; kfp is")
    config = load_config(Path(arguments.config), arguments.overrides)
    _set_images(arguments.images)
    # Imported after the images are set: an image is part of a component's definition.
    from kfp import compiler

    from pipelines.graph import build_pipeline

    output = Path(arguments.output)
    if output.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"-o must name a .yaml file, found {output}")
    if not output.resolve().parent.is_dir():
        raise ConfigError(f"-o {output}: there is no folder {output.resolve().parent}")
    compiler.Compiler().compile(build_pipeline(config), str(output))
    print(f"wrote {output}", file=sys.stderr)
    return 0


def _set_images(images: list[str]) -> None:
    from components.images import DEFAULTS, VARIABLE_PREFIX

    for text in images:
        target, separator, image = text.partition("=")
        if not separator or target not in DEFAULTS or not image:
            raise ConfigError(f"--image must be TARGET=IMAGE with a target of {', '.join(DEFAULTS)}, found {text!r}")
        os.environ[VARIABLE_PREFIX + target.upper()] = image
