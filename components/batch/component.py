"""Kubeflow Pipelines adapter of the pipeline forecast_batch.

No `from __future__ import annotations` here: it breaks the compilation of components.
"""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("serving"), install_kfp_package=False)
def forecast_batch(
    settings: str,
    home: str,
    to: str,
    cutoff: str,
    version: int,
    run: str,
    retries: int,
    output: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """See `components.batch.forecast_batch`; `output` is the record of the batch."""
    from components.batch.forecast_batch import forecast_batch_component

    forecast_batch_component(
        settings,
        to,
        home=home,
        cutoff=cutoff,
        version=version,
        run=run,
        retries=retries,
        output=output,
        metrics=metrics,
    )
