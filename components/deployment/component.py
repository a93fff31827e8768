"""Kubeflow Pipelines adapter of the steps validate_serving and deploy_model.

No `from __future__ import annotations` here: it breaks the compilation of components.
"""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("serving"), install_kfp_package=False)
def validate_serving(
    settings: str,
    home: str,
    run: str,
    cutoff: str,
    validate_data: dsl.Input[dsl.Artifact],
    train_model: dsl.Input[dsl.Artifact],
    compress_model: dsl.Input[dsl.Artifact],
    evaluate_compressed: dsl.Input[dsl.Artifact],
    output: dsl.Output[dsl.Model],
) -> bool:
    """See `components.deployment.validate_serving`."""
    from forecasting.execution import run_component

    return run_component(
        "validate_serving",
        "components.deployment.validate_serving:validate_serving",
        settings,
        {
            "validate_data": validate_data.path,
            "train_model": train_model.path,
            "compress_model": compress_model.path,
            "evaluate_compressed": evaluate_compressed.path,
        },
        home=home,
        run=run,
        cutoff=cutoff,
        output=output,
    )


@dsl.component(base_image=image("serving"), install_kfp_package=False)
def deploy_model(
    settings: str,
    home: str,
    run: str,
    cutoff: str,
    validate_data: dsl.Input[dsl.Artifact],
    evaluate_model: dsl.Input[dsl.Artifact],
    evaluate_compressed: dsl.Input[dsl.Artifact],
    validate_serving: dsl.Input[dsl.Artifact],
    output: dsl.Output[dsl.Artifact],
) -> None:
    """See `components.deployment.deploy_model`."""
    from forecasting.execution import run_component

    run_component(
        "deploy_model",
        "components.deployment.deploy_model:deploy_model",
        settings,
        {
            "validate_data": validate_data.path,
            "evaluate_model": evaluate_model.path,
            "evaluate_compressed": evaluate_compressed.path,
            "validate_serving": validate_serving.path,
        },
        home=home,
        run=run,
        cutoff=cutoff,
        output=output,
    )
