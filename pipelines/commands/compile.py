"""`almanac compile`."""

import argparse
import os
import sys
from pathlib import Path

from forecasting.config import AlmanacConfig, load_config
from forecasting.errors import ConfigError, NotInThisVersionError

RUN_PIPELINE, BATCH_PIPELINE = "run", "forecast_batch"


def compile_pipeline(arguments: argparse.Namespace) -> int:
    """Write a graph as a definition for a cluster. Equal configurations give equal bytes."""
    config = load_config(Path(arguments.config), arguments.overrides)
    output = Path(arguments.output)
    if output.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"-o must name a .yaml file, found {output}")
    if not output.resolve().parent.is_dir():
        raise ConfigError(f"-o {output}: there is no folder {output.resolve().parent}")
    _set_images(config, arguments.images)
    # Imported after the images are set: an image is part of a component's definition.
    from pipelines.cluster.compiled import compiled_argo, compiled_kfp

    if arguments.format == "argo":
        if arguments.pipeline != RUN_PIPELINE:
            raise NotInThisVersionError(
                f"--format argo of the pipeline {arguments.pipeline} is not in this version; kfp is"
            )
        text = compiled_argo(config, pinned=not arguments.allow_tags)
    else:
        text = compiled_kfp(
            config,
            batch=arguments.pipeline == BATCH_PIPELINE,
            pinned=not arguments.allow_tags,
            resources=arguments.format == "kfp-crd",
        )
    output.write_text(text, encoding="utf-8")
    print(f"wrote {output}", file=sys.stderr)
    return 0


def _set_images(config: AlmanacConfig, images: list[str]) -> None:
    from components.images import DEFAULTS, VARIABLE_PREFIX

    for configured, image in config.cluster.images.items():
        os.environ[VARIABLE_PREFIX + configured.upper()] = image
    for text in images:
        target, separator, image = text.partition("=")
        if not separator or target not in DEFAULTS or not image:
            raise ConfigError(f"--image must be TARGET=IMAGE with a target of {', '.join(DEFAULTS)}, found {text!r}")
        os.environ[VARIABLE_PREFIX + target.upper()] = image
