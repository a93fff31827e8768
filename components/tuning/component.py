"""Kubeflow Pipelines adapter of the step tune_model.

No `from __future__ import annotations` here: it breaks the compilation of components.
"""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("trainer"), install_kfp_package=False)
def tune_model(
    settings: str,
    home: str,
    run: str,
    cutoff: str,
    validate_data: dsl.Input[dsl.Artifact],
    output: dsl.Output[dsl.Artifact],
) -> None:
    """See `components.tuning.tune_model`."""
    from forecasting.execution import run_component

    run_component(
        "tune_model",
        "components.tuning.tune_model:tune_model",
        settings,
        {"validate_data": validate_data.path},
        home=home,
        run=run,
        cutoff=cutoff,
        output=output,
    )
