"""The pipeline `forecast_batch`: every series of a version from one cutoff, on a schedule."""

from collections.abc import Callable
from typing import Any

from kfp import dsl
from kfp.dsl.graph_component import GraphComponent

from components.batch.component import forecast_batch
from forecasting.config import AlmanacConfig
from forecasting.config.root import forecast_batch_settings
from pipelines.graph import limits_of_runs

RETRIES = 3
"""A batch is there once or not at all, so that trying again does no harm."""
BACKOFF_S, BACKOFF_LIMIT_S = 30, 600
"""Seconds before the first of them, which double, and the longest time between two."""


def build_batch_pipeline(
    config: AlmanacConfig, equip: Callable[[dsl.PipelineTask], object] | None = None
) -> GraphComponent:
    """The pipeline of one configuration.

    Args:
        config: The configuration; the component gets its own sections as a JSON constant.
        equip: Gives the task the volume and the resources of a cluster; none: it has those of this machine.

    Returns:
        A pipeline with the parameters `home`, `to` (left out: `batch.to` of the configuration, where that is set), `cutoff`
        (empty: the latest origin of most series) and `version` (0: the champion).
    """
    settings = forecast_batch_settings(config).model_dump_json()

    def make(home: str, to: str, cutoff: str, version: int) -> None:
        task = forecast_batch(
            settings=settings, home=home, to=to, cutoff=cutoff, version=version,
            run=dsl.PIPELINE_JOB_ID_PLACEHOLDER, retries=RETRIES,
        )  # fmt: skip
        task.set_caching_options(enable_caching=False)
        if equip is not None:
            equip(task)
        task.set_retry(
            num_retries=RETRIES, backoff_duration=f"{BACKOFF_S}s", backoff_factor=2.0,
            backoff_max_duration=f"{BACKOFF_LIMIT_S}s",
        )  # fmt: skip

    def asked(home: str, to: str, cutoff: str = "", version: int = 0) -> None:
        make(home, to, cutoff, version)

    place = config.batch.to or ""

    def settled(home: str, to: str = place, cutoff: str = "", version: int = 0) -> None:
        make(home, to, cutoff, version)

    chosen: Any = settled if place else asked
    return dsl.pipeline(
        name=f"almanac-{config.name}-forecasts", description="Forecasts every series from one cutoff, once.",
        pipeline_config=limits_of_runs(config) if equip is not None else None,
    )(chosen)  # fmt: skip
