"""What train_model sees of a configuration where several pods of a cluster do it."""

from forecasting.config.root import AlmanacConfig, StepSettings, TrainModelSettings, step_settings
from forecasting.contracts.steps import StepName


def cluster_step_settings(config: AlmanacConfig, step: StepName) -> StepSettings:
    """The sections that one step sees on a cluster: several workers train by the strategy multi_worker.

    Args:
        config: The configuration, whose own strategy is that of this machine.
        step: The step.
    """
    found = step_settings(config, step)
    if not isinstance(found, TrainModelSettings) or config.cluster.training.workers == 1:
        return found
    training = found.training.model_copy(update={"strategy": "multi_worker"})
    return found.model_copy(update={"training": training})
