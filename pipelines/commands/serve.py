"""`almanac serve`."""

import argparse
from pathlib import Path

from forecasting.config import load_config
from forecasting.contracts.layout import home_layout
from serving.launch import serve as serve_model


def serve(arguments: argparse.Namespace) -> int:
    """Serve the champion of a configuration's model until SIGTERM, with the history it was deployed with."""
    config = load_config(Path(arguments.config), arguments.overrides)
    home = home_layout()
    return serve_model(
        home.models, config.name, series_dir=None, serving=config.serving, gateway=config.gateway, store=config.store,
        retraining=config.retraining,
    )  # fmt: skip
