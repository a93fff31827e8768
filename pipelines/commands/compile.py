"""`almanac compile`."""

import argparse
import sys
from pathlib import Path

from forecasting.config import load_config
from forecasting.errors import ConfigError
from pipelines.images import set_images

BATCH_PIPELINE = "forecast_batch"


def compile_pipeline(arguments: argparse.Namespace) -> int:
    """Write a graph as a definition for a cluster. Equal configurations give equal bytes."""
    config = load_config(Path(arguments.config), arguments.overrides)
    output = Path(arguments.output)
    if output.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"-o must name a .yaml file, found {output}")
    if not output.resolve().parent.is_dir():
        raise ConfigError(f"-o {output}: there is no folder {output.resolve().parent}")
    set_images(config, arguments.images)
    batch = arguments.pipeline == BATCH_PIPELINE
    # Imported after the images are set: an image is part of a component's definition.
    from pipelines.cluster.compiled import compiled_argo, compiled_kfp

    if arguments.format == "argo":
        text = compiled_argo(config, batch=batch, pinned=not arguments.allow_tags)
    else:
        resources = arguments.format == "kfp-crd"
        text = compiled_kfp(config, batch=batch, pinned=not arguments.allow_tags, resources=resources)
    output.write_text(text, encoding="utf-8")
    print(f"wrote {output}", file=sys.stderr)
    return 0
