"""Kubeflow Pipelines adapter of the step build_features.

No `from __future__ import annotations` here: it breaks the compilation of components.
"""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("steps"), install_kfp_package=False)
def build_features(
    settings: str,
    home: str,
    run: str,
    cutoff: str,
    validate_data: dsl.Input[dsl.Artifact],
    output: dsl.Output[dsl.Dataset],
) -> None:
    """See `components.features.build_features`."""
    from forecasting.execution import run_component

    run_component(
        "build_features",
        "components.features.build_features:build_features",
        settings,
        {"validate_data": validate_data.path},
        home=home,
        run=run,
        cutoff=cutoff,
        output=output,
    )
