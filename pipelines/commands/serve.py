"""`almanac serve`."""

import argparse
from pathlib import Path

from forecasting.config import load_config
from forecasting.contracts.layout import HomeLayout, home_layout
from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import ArtifactError, ConfigError
from forecasting.repository import ModelRepository
from serving.launch import serve as serve_model


def serve(arguments: argparse.Namespace) -> int:
    """Serve the champion of a configuration's model until SIGTERM."""
    config = load_config(Path(arguments.config), arguments.overrides)
    home = home_layout()
    return serve_model(
        models_dir=home.models,
        model=config.name,
        series_dir=champion_series_dir(home, config.name),
        serving=config.serving,
    )


def champion_series_dir(home: HomeLayout, model: str) -> Path:
    """The series store that the champion was deployed with: the gateway takes history from it.

    Raises:
        ConfigError: The model has no champion.
        ArtifactError: The store is gone.
    """
    repository = ModelRepository(home.models)
    champion = repository.role(model, ModelRole.CHAMPION) if model in repository.names() else None
    if champion is None:
        raise ConfigError(f"there is no champion of {model!r} in {home.models}; `almanac run` makes one")
    found = Path(str(repository.record(model, champion).get("series_dir", "")))
    if not found.is_dir():
        raise ArtifactError(
            f"the series that version {champion} of {model!r} was deployed with are gone: {found}; run the pipeline again"
        )
    return found
