"""Kubeflow Pipelines adapter of the step compress_model.

No `from __future__ import annotations` here: it breaks the compilation of components.
"""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("trainer"), install_kfp_package=False)
def compress_model(
    settings: str,
    home: str,
    run: str,
    cutoff: str,
    validate_data: dsl.Input[dsl.Artifact],
    build_features: dsl.Input[dsl.Artifact],
    train_model: dsl.Input[dsl.Artifact],
    output: dsl.Output[dsl.Model],
) -> None:
    """See `components.compression.compress_model`."""
    from forecasting.execution import run_component

    run_component(
        "compress_model",
        "components.compression.compress_model:compress_model",
        settings,
        {"validate_data": validate_data.path, "build_features": build_features.path, "train_model": train_model.path},
        home=home,
        run=run,
        cutoff=cutoff,
        output=output,
    )
