"""Kubeflow Pipelines adapter of the step train_model.

No `from __future__ import annotations` here: it breaks the compilation of components.
"""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("trainer"), install_kfp_package=False)
def train_model(
    settings: str,
    home: str,
    run: str,
    cutoff: str,
    build_features: dsl.Input[dsl.Artifact],
    output: dsl.Output[dsl.Model],
) -> None:
    """See `components.training.train_model`."""
    from forecasting.execution import run_component

    run_component(
        "train_model",
        "components.training.train_model:train_model",
        settings,
        {"build_features": build_features.path},
        home=home,
        run=run,
        cutoff=cutoff,
        output=output,
    )
