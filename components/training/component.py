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
    tune_model: dsl.Input[dsl.Artifact] = None,
) -> None:
    """See `components.training.train_model`."""
    from forecasting.execution import given, run_component

    run_component(
        "train_model",
        "components.training.train_model:train_model",
        settings,
        given(build_features=build_features, tune_model=tune_model),
        home=home,
        run=run,
        cutoff=cutoff,
        output=output,
    )
