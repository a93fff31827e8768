"""Kubeflow Pipelines adapter of the step train_model where pods of its own do it.

No `from __future__ import annotations` here: it breaks the compilation of components.
"""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("steps"), install_kfp_package=False)
def launch_training(
    settings: str,
    home: str,
    run: str,
    cutoff: str,
    cluster: str,
    worker_image: str,
    build_features: dsl.Input[dsl.Artifact],
    output: dsl.Output[dsl.Model],
    tune_model: dsl.Input[dsl.Artifact] = None,
) -> None:
    """See `components.launching.launch_training`."""
    from components.launching.launch_training import launched_step
    from forecasting.execution import given, run_component

    run_component(
        "train_model",
        launched_step(cluster, worker_image),
        settings,
        given(build_features=build_features, tune_model=tune_model),
        home=home,
        run=run,
        cutoff=cutoff,
        output=output,
    )
