"""The section `training` of the configuration: the one loop, and what it may do to rate, gradients and weights."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from forecasting.config.section import Section
from forecasting.errors import ConfigError

REFERENCE_BATCH_SIZE = 128
"""The batch size that `learning_rate` is meant for, where `rate_scaling` scales it."""


class AugmentationConfig(Section):
    """Changes of the training inputs, drawn anew for every window; in the units of the scaled features."""

    noise: float = Field(0.0, ge=0, description="Standard deviation of noise on the past target and derived columns.")
    scaling: float = Field(
        0.0, ge=0, lt=1, description="Standard deviation of the factor on the target, past and ahead alike."
    )
    time_shift: int = Field(
        0,
        ge=0,
        description="Steps by which the past may be moved against the calendar, at most; what it lacks then is missing.",
    )


class TrainingConfig(Section):
    """The training loop."""

    strategy: Literal["auto", "default", "mirrored", "multi_worker", "tpu"] = Field(
        "auto",
        description="tf.distribute strategy; auto mirrors when there is more than one GPU, multi_worker reads TF_CONFIG, tpu is refused as untested.",
    )
    accelerator: Literal["auto", "gpu", "any", "cpu"] = Field(
        "auto",
        description="gpu: refused where TensorFlow sees no GPU; any: a GPU where there is one, else the processor; cpu: the processor alone; auto: gpu in pods for which `cluster.resources` asks for GPUs, any elsewhere.",
    )
    batch_size: Annotated[int, Field(gt=0)] | Literal["auto"] = Field(
        128,
        description="Windows in a step, over all replicas; auto: the largest that fits on a GPU, the fastest on a CPU.",
    )
    memory_limit_mib: int | None = Field(
        None, gt=0, description="Memory that the process may have with `batch_size: auto`; none: half of what is free."
    )
    max_epochs: int = Field(10, gt=0, description="Passes over the training windows at most.")
    max_steps_per_epoch: int | None = Field(
        None, gt=0, description="Steps in an epoch at most; none: every window once."
    )
    length_buckets: int = Field(
        1,
        gt=0,
        description="Lengths of history, evenly apart up to the context, in which windows are trained together: several spare young series the steps before they began.",
    )
    patience: int = Field(3, gt=0, description="Epochs without a better validation loss before training stops.")
    min_delta: float = Field(0.0, ge=0, description="How much lower a validation loss must be to count as better.")
    refit: bool = Field(
        True,
        description="Train once more for the best number of epochs on train and validation together, so that the model knows the latest weeks.",
    )
    optimizer: Literal["adamw", "adam", "rmsprop", "sgd"] = Field("adamw", description="Optimiser.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of sgd and rmsprop.")
    nesterov: bool = Field(False, description="Nesterov momentum (sgd).")
    learning_rate: float = Field(3e-3, gt=0, description="Largest learning rate.")
    rate_scaling: Literal["none", "linear", "sqrt"] = Field(
        "none",
        description=f"How the rate grows with the batch size, from learning_rate at {REFERENCE_BATCH_SIZE} windows.",
    )
    schedule: Literal["cosine", "constant", "exponential", "one_cycle", "reduce_on_plateau"] = Field(
        "cosine", description="Course of the learning rate after the warm-up; one_cycle has a warm-up of its own."
    )
    warmup_steps: int = Field(100, ge=0, description="Steps of linear warm-up, a quarter of all steps at most.")
    final_rate_ratio: float = Field(
        0.01, gt=0, le=1, description="Last rate of cosine, exponential and one_cycle, as a share of the largest."
    )
    plateau_factor: float = Field(0.3, gt=0, lt=1, description="Factor on the rate at a plateau (reduce_on_plateau).")
    plateau_patience: int = Field(
        1, gt=0, description="Epochs without a better validation loss that make a plateau (reduce_on_plateau)."
    )
    weight_decay: float = Field(1e-2, ge=0, description="Decoupled weight decay (adamw).")
    l2: float = Field(0.0, ge=0, description="Weight of the squared kernels in what is minimised; biases are free.")
    normalize_gradients: bool = Field(
        False, description="Divide the gradients by their global norm, before they are clipped."
    )
    clip: Literal["global_norm", "norm", "value", "none"] = Field(
        "global_norm",
        description="How gradients are clipped: by the norm over all weights, of each weight, by value, or not.",
    )
    clip_norm: float = Field(1.0, gt=0, description="Norm to which gradients are clipped (global_norm, norm).")
    clip_value: float = Field(0.5, gt=0, description="Largest magnitude of a gradient's values (value).")
    augmentation: AugmentationConfig = Field(
        default_factory=AugmentationConfig, description="Changes of the training inputs."
    )
    ema: float = Field(
        0.99, ge=0, lt=1, description="Momentum of the weight average used for validation and export; 0: none."
    )
    swa_epochs: int = Field(
        0,
        ge=0,
        description="Last epochs of max_epochs whose final weights are averaged, used in place of the moving average; 0: none.",
    )
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "float32",
        description="What matrix products are computed in while training; weights, loss and the exported model are float32.",
    )
    xla: bool = Field(False, description="Compile the gradients by XLA; slower for recurrent models on CPUs.")
    checkpoint_every_s: float = Field(
        60.0, gt=0, description="Seconds between checkpoints within an epoch; each epoch ends with one besides."
    )
    checkpoint_every_steps: int | None = Field(
        None, gt=0, description="Steps between checkpoints, in the place of checkpoint_every_s."
    )
    auto_remedy: bool = Field(
        False,
        description="While the learning curve shows a pattern that has a remedy (docs/tuning.md), train again with one remedy at a time, and keep it if validation improves; up to five trainings more.",
    )
    explode_factor: float = Field(
        20.0, gt=1, description="A loss above this times the median of the last 100 steps has exploded."
    )
    explode_steps: int = Field(3, gt=0, description="Exploded losses in a row that end the attempt.")
    retry_rate: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="Factor on the rate of the one retry, from the last good checkpoint, after a loss that is no number or exploded.",
    )
    tensorboard: bool = Field(
        False, description="Write scalars and histograms for TensorBoard, into `tensorboard` among the run's logs."
    )
    profile_steps: tuple[int, int] | None = Field(
        None, description="First and last step to profile, counted from the start of the training; none: no profile."
    )
    seed: int = Field(1, description="Seed of initial weights, shuffling, dropout and augmentation.")
    threads: int = Field(
        1,
        ge=0,
        description="Threads within one operation, 0 for TensorFlow's own choice; one is fastest for recurrent models on CPUs.",
    )

    @model_validator(mode="after")
    def _check_profile(self) -> "TrainingConfig":
        if self.profile_steps is not None and not 1 <= self.profile_steps[0] <= self.profile_steps[1]:
            raise ValueError(f"profile_steps must be two ascending steps from 1 on, found {list(self.profile_steps)}")
        return self

    @property
    def windows_per_step(self) -> int:
        """The batch size, once it is a number.

        Raises:
            ConfigError: It is still `auto`.
        """
        if self.batch_size == "auto":
            raise ConfigError("training.batch_size must be a number here, found auto")
        return self.batch_size
