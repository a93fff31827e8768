"""Kubeflow Pipelines adapter of the step validate_data.

No `from __future__ import annotations` here: it breaks the compilation of components.
"""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("steps"), install_kfp_package=False)
def validate_data(
    settings: str,
    home: str,
    run: str,
    cutoff: str,
    output: dsl.Output[dsl.Dataset],
) -> bool:
    """See `components.validation.validate_data`."""
    from forecasting.execution import run_component

    return run_component(
        "validate_data",
        "components.validation.validate_data:validate_data",
        settings,
        {},
        home=home,
        run=run,
        cutoff=cutoff,
        output=output,
    )
