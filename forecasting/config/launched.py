"""What the steps that train see of a configuration on a cluster."""

from forecasting.config.root import AlmanacConfig, StepSettings, TrainModelSettings, TuneModelSettings, step_settings
from forecasting.contracts.steps import StepName


def cluster_step_settings(config: AlmanacConfig, step: StepName) -> StepSettings:
    """The sections that one step sees on a cluster.

    Several workers train by the strategy multi_worker, and whoever asks for GPUs does not train without one unasked.

    Args:
        config: The configuration, whose own strategy is that of this machine.
        step: The step.
    """
    found = step_settings(config, step)
    if not isinstance(found, TrainModelSettings | TuneModelSettings):
        return found
    changes: dict[str, str] = {}
    if isinstance(found, TrainModelSettings) and config.cluster.training.workers > 1:
        changes["strategy"] = "multi_worker"
    if found.training.accelerator == "auto" and config.cluster.step(step).gpu:
        changes["accelerator"] = "gpu"
    return found.model_copy(update={"training": found.training.model_copy(update=changes)}) if changes else found
