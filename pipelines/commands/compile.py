"""`almanac compile`."""

import argparse
import sys
from pathlib import Path

from forecasting.config import load_config
from forecasting.errors import ConfigError, NotInThisVersionError
from pipelines.images import set_images

RUN_PIPELINE, BATCH_PIPELINE = "run", "forecast_batch"


def compile_pipeline(arguments: argparse.Namespace) -> int:
    """Write a graph as a definition for a cluster. Equal configurations give equal bytes."""
    config = load_config(Path(arguments.config), arguments.overrides)
    output = Path(arguments.output)
    if output.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"-o must name a .yaml file, found {output}")
    if not output.resolve().parent.is_dir():
        raise ConfigError(f"-o {output}: there is no folder {output.resolve().parent}")
    set_images(config, arguments.images)
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
