"""The section `tuning` of the configuration: the search for better settings, judged before the test period."""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from forecasting.config.section import Section
from forecasting.config.values import Duration

Scalar = bool | int | float | str | None
Choice = Scalar | tuple[Scalar, ...]

MINIMISED = ("mae", "rmse", "wape", "mape", "smape", "mase", "rmsse", "pinball", "wql", "crps")
MAXIMISED = ("r2", "trend_agreement")
"""Metrics of the registry of which less, or more, is better: by name, because the registry needs arrays and settings do not."""

IN_RUN = ("model.", "training.")
"""Settings that a search in a run may change: train_model alone reads them."""


class RangeConfig(Section):
    """Values that one setting may take: from low to high, or one of some choices."""

    low: int | float | None = Field(None, description="Smallest value.")
    high: int | float | None = Field(None, description="Largest value.")
    log: bool = Field(False, description="Whether ratios count, not differences; without a step.")
    step: int | float | None = Field(None, gt=0, description="Distance of the values from low on; none: any value.")
    choices: tuple[Choice, ...] | None = Field(
        None, min_length=2, description="The values, in the place of low and high."
    )

    @model_validator(mode="after")
    def _check_form(self) -> "RangeConfig":
        if self.choices is not None:
            if {self.low, self.high, self.step} != {None} or self.log:
                raise ValueError("must have either choices or low and high, found both")
            labels = [choice_label(choice) for choice in self.choices]
            if twice := sorted({label for label in labels if labels.count(label) > 1}):
                raise ValueError(f"choices must differ, found {twice[0]} twice")
            return self
        if self.low is None or self.high is None:
            raise ValueError("must have choices, or low and high")
        if self.low >= self.high:
            raise ValueError(f"low must be below high, found {self.low:g} and {self.high:g}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs a low above 0 and no step")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value.

        Raises:
            ValueError: It has choices.
        """
        if self.low is None or self.high is None:
            raise ValueError("a range of choices has no bounds")
        return self.low, self.high

    @property
    def grid(self) -> tuple[Choice, ...] | None:
        """Every value, in order; none where there is no end of them."""
        if self.choices is not None or self.step is None:
            return self.choices
        low, high = self.bounds
        # A share of a step, so that 0.1 + 0.1 + 0.1 is still 0.3.
        n_steps = int((high - low) / self.step + 1e-9)
        return tuple(low + i * self.step for i in range(n_steps + 1))

    @property
    def ends(self) -> tuple[Choice, ...]:
        """Values that must be valid for all between them to be: both bounds, or every choice."""
        return self.choices if self.choices is not None else self.bounds


def choice_label(choice: Any) -> str:
    """How a choice is written in tables, such as `128, 64`."""
    if isinstance(choice, tuple | list):
        return ", ".join(map(choice_label, choice))
    return str(choice).lower() if choice is None or isinstance(choice, bool) else str(choice)


class TuningConfig(Section):
    """`almanac tune`: trials are fits for folds that all lie before the test period."""

    in_run: bool = Field(
        False,
        description="Whether every run searches before it trains: the step tune_model, which may change settings of model and training.",
    )
    flow: Literal["joint", "staged"] = Field(
        "joint",
        description="joint: all settings together. staged: one at a time, then together those that matter, then architectures, then the best over several seeds.",
    )
    values_each: int = Field(3, ge=2, description="Values of a range that are tried one at a time (staged).")
    finalists: int = Field(3, gt=0, description="Best trials that are trained again with other seeds (staged).")
    finalist_seeds: int = Field(3, ge=2, description="Seeds of each, the configured one among them (staged).")
    sampler: Literal["tpe", "random", "grid"] = Field(
        "tpe", description="How settings are drawn; grid takes every combination, and needs choices or steps."
    )
    pruner: Literal["successive_halving", "none"] = Field(
        "successive_halving", description="Whether trials that learn worse than others are ended early."
    )
    min_epochs: int = Field(2, gt=0, description="Epochs that every trial has (successive_halving).")
    reduction_factor: int = Field(
        3,
        gt=1,
        description="Of how many trials one goes on, each time that epochs have grown by as much (successive_halving).",
    )
    n_trials: int = Field(
        35,
        gt=0,
        description="Trials of a study, over all calls and workers; those that were stopped do not count. Staged: of its joint stage.",
    )
    time_budget_s: float | None = Field(
        None,
        gt=0,
        description="Seconds of one call; what runs then is stopped, and goes on with the next call. None: no limit.",
    )
    n_workers: int = Field(1, gt=0, description="Trials at the same time, each a process with one core.")
    seed: int = Field(1, ge=0, description="Seed of the sampler.")
    storage: str | None = Field(
        None,
        description="Where the study is kept, an address of SQLAlchemy; ${NAME} takes it from the environment. Workers on "
        "several machines share one of PostgreSQL. None: an SQLite file in the state directory.",
    )
    metric: str = Field(
        "wql", description="What is minimised (or maximised, where more is better): a metric of docs/metrics.md."
    )
    folds: int = Field(
        2,
        gt=0,
        description="Periods one after another that each trial is trained before and scored on, all before the test period.",
    )
    fold_length: Duration | None = Field(
        None, description="Length of each; none: the validation period is parted among them."
    )
    cross_validation: Literal["rolling_origin", "blocked"] = Field(
        "rolling_origin",
        description="rolling_origin: folds one behind the other, each trained on all before it. blocked: the time before the test period is parted into blocks, each with a fold at its end, trained on its own block before the fold alone.",
    )
    space: dict[str, RangeConfig] | None = Field(
        None,
        description="Values by setting, such as training.learning_rate: {low: 1e-4, high: 1e-2, log: true}; none: those for the kind of model.",
    )

    @field_validator("metric")
    @classmethod
    def _check_metric(cls, name: str) -> str:
        if name not in (*MINIMISED, *MAXIMISED):
            raise ValueError(f"metric must be one of {', '.join((*MINIMISED, *MAXIMISED))}, found {name!r}")
        return name

    @field_validator("space")
    @classmethod
    def _check_space(cls, space: dict[str, RangeConfig] | None) -> dict[str, RangeConfig] | None:
        if space is not None and not space:
            raise ValueError("space must name at least one setting")
        return space

    @model_validator(mode="after")
    def _check_flow(self) -> "TuningConfig":
        if self.flow == "staged" and self.sampler == "grid":
            raise ValueError("flow staged needs sampler tpe or random, found grid")
        return self

    @model_validator(mode="after")
    def _check_in_run(self) -> "TuningConfig":
        others = [path for path in self.space or {} if not path.startswith(IN_RUN)]
        if self.in_run and others:
            raise ValueError(
                f"in_run searches when the features are built, so that space may name settings of model and training, found {others[0]}"
            )
        return self

    @model_validator(mode="after")
    def _check_grid(self) -> "TuningConfig":
        if self.sampler == "grid":
            endless = [path for path, values in (self.space or {}).items() if values.grid is None]
            if self.space is None or endless:
                found = f", {endless[0]} has neither" if endless else "; there is no space"
                raise ValueError(f"sampler grid needs a space of choices, or of ranges with steps{found}")
        return self

    @property
    def maximised(self) -> bool:
        """Whether more of the metric is better."""
        return self.metric in MAXIMISED
