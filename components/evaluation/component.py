"""Kubeflow Pipelines adapter of the steps evaluate_model and evaluate_compressed.

No `from __future__ import annotations` here: it breaks the compilation of components.
"""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("trainer"), install_kfp_package=False)
def evaluate_model(
    settings: str,
    home: str,
    run: str,
    cutoff: str,
    validate_data: dsl.Input[dsl.Artifact],
    train_model: dsl.Input[dsl.Artifact],
    output: dsl.Output[dsl.Artifact],
) -> bool:
    """See `components.evaluation.evaluate_model`."""
    from forecasting.execution import run_component

    return run_component(
        "evaluate_model",
        "components.evaluation.evaluate_model:evaluate_model",
        settings,
        {"validate_data": validate_data.path, "train_model": train_model.path},
        home=home,
        run=run,
        cutoff=cutoff,
        output=output,
    )


@dsl.component(base_image=image("steps"), install_kfp_package=False)
def evaluate_compressed(
    settings: str,
    home: str,
    run: str,
    cutoff: str,
    validate_data: dsl.Input[dsl.Artifact],
    train_model: dsl.Input[dsl.Artifact],
    evaluate_model: dsl.Input[dsl.Artifact],
    compress_model: dsl.Input[dsl.Artifact],
    output: dsl.Output[dsl.Artifact],
) -> bool:
    """See `components.evaluation.evaluate_compressed`."""
    from forecasting.execution import run_component

    return run_component(
        "evaluate_compressed",
        "components.evaluation.evaluate_compressed:evaluate_compressed",
        settings,
        {
            "validate_data": validate_data.path,
            "train_model": train_model.path,
            "evaluate_model": evaluate_model.path,
            "compress_model": compress_model.path,
        },
        home=home,
        run=run,
        cutoff=cutoff,
        output=output,
    )
