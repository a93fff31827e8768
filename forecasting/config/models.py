"""Settings of the models, told apart by `kind`; without one it is `segment_lstm`."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, PositiveInt, Tag, model_validator

from forecasting.config.section import Section

DEFAULT_KIND = "segment_lstm"


class KindConfig(Section):
    """What every kind has, ensembles too."""

    kind: str = Field(DEFAULT_KIND, description="Kind of model.")
    calibrate: bool = Field(
        True,
        description="Stretch the quantiles so that they hold on the validation period, with factors found before the refit; later windows count more.",
    )


class SingleConfig(KindConfig):
    """A model that is no ensemble."""


class ModelConfig(SingleConfig):
    """What every model with a head has: the head of each horizon step."""

    head_units: int = Field(48, gt=0, description="Width of the head of each horizon step.")
    step_units: int = Field(16, gt=0, description="Width of the message to each horizon step.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout in the head and between recurrent layers.")


class RecurrentConfig(ModelConfig):
    """What every recurrent model has."""

    recurrent_dropout: float = Field(
        0.0, ge=0, lt=1, description="Dropout of the recurrent state, one mask a sequence; the fused kernel cannot."
    )
    normalisation: Literal["none", "layer", "batch"] = Field(
        "none", description="Normalisation of what goes into each recurrent layer."
    )


class SegmentConfig(RecurrentConfig):
    """A recurrence over segments of the context, then over segments of the horizon."""

    head_units: int = Field(192, gt=0, description="Width of the head of each horizon step.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Dropout in the head and between recurrent layers.")
    embedding_units: int = Field(
        8,
        ge=0,
        description="Width of what each step is embedded to before segments are cut, the same way for all; 0: none.",
    )
    segment_dropout: float = Field(
        0.2, ge=0, lt=1, description="Dropout of the embedded segments and of what the decoder says of those ahead."
    )
    units: int = Field(64, gt=0, description="Width of the segment embedding and of the recurrence.")
    layers: int = Field(1, gt=0, description="Recurrent layers over the segments of the context.")


class SegmentLstmConfig(SegmentConfig):
    """LSTM over segments."""

    kind: Literal["segment_lstm"] = Field("segment_lstm", description="Kind of model.")


class SegmentGruConfig(SegmentConfig):
    """GRU over segments."""

    kind: Literal["segment_gru"] = Field("segment_gru", description="Kind of model.")


class StepwiseConfig(RecurrentConfig):
    """A recurrence over every step of the context."""

    units: tuple[PositiveInt, ...] = Field((64, 32), min_length=1, description="Width of each recurrent layer.")
    truncate_steps: int = Field(
        2000,
        gt=0,
        description="Last steps of the context through which gradients flow; earlier ones only set the state.",
    )


class LstmConfig(StepwiseConfig):
    """LSTM over steps."""

    kind: Literal["lstm"] = Field("lstm", description="Kind of model.")


class BilstmConfig(StepwiseConfig):
    """LSTM over steps in both directions."""

    kind: Literal["bilstm"] = Field("bilstm", description="Kind of model.")


class GruConfig(StepwiseConfig):
    """GRU over steps."""

    kind: Literal["gru"] = Field("gru", description="Kind of model.")


class StackedLstmConfig(StepwiseConfig):
    """Deep LSTM over steps, all layers of one width, with a residual connection around every two."""

    kind: Literal["stacked_lstm"] = Field("stacked_lstm", description="Kind of model.")
    units: tuple[PositiveInt, ...] = Field((64, 64, 64, 64), min_length=2, description="Width of each recurrent layer.")

    @model_validator(mode="after")
    def _check_units(self) -> "StackedLstmConfig":
        if len(set(self.units)) > 1:
            raise ValueError(f"units of stacked_lstm must be equal, found {', '.join(map(str, self.units))}")
        return self


class Seq2seqConfig(RecurrentConfig):
    """LSTM encoder over steps, LSTM decoder over the horizon with attention."""

    kind: Literal["seq2seq"] = Field("seq2seq", description="Kind of model.")
    units: tuple[PositiveInt, ...] = Field(
        (64,), min_length=1, description="Width of each layer of the encoder; the decoder is as wide as the last."
    )
    truncate_steps: int = Field(
        2000,
        gt=0,
        description="Last steps of the context through which gradients and attention reach; earlier ones only set the state.",
    )


class CnnLstmConfig(RecurrentConfig):
    """Gated convolutions that mix all columns and shorten the sequence, then LSTMs."""

    kind: Literal["cnn_lstm"] = Field("cnn_lstm", description="Kind of model.")
    filters: int = Field(32, gt=0, description="Columns that each convolution makes.")
    kernel: int = Field(5, gt=0, description="Steps that each convolution reads.")
    strides: tuple[PositiveInt, ...] = Field(
        (2, 2), min_length=1, description="One convolution each: of how many steps it keeps one."
    )
    units: tuple[PositiveInt, ...] = Field((64,), min_length=1, description="Width of each recurrent layer.")

    @model_validator(mode="after")
    def _check_strides(self) -> "CnnLstmConfig":
        if max(self.strides) > self.kernel:
            raise ValueError(
                f"strides of cnn_lstm must be at most its kernel ({self.kernel}), or steps are never read; "
                f"found {max(self.strides)}"
            )
        return self


class TransformerLstmConfig(RecurrentConfig):
    """Self-attention among patches with a memory of the chunk before, then LSTMs."""

    kind: Literal["transformer_lstm"] = Field("transformer_lstm", description="Kind of model.")
    patch: PositiveInt | None = Field(
        None, description="Steps of one token, a divisor of forecast.segment; not given: a segment."
    )
    units: int = Field(64, gt=0, description="Width of a token, a multiple of `heads`.")
    heads: int = Field(4, gt=0, description="Attention heads.")
    layers: int = Field(2, gt=0, description="Attention blocks.")
    chunk: int = Field(16, gt=0, description="Tokens that attend to each other and to as many before them.")
    recurrent_units: tuple[PositiveInt, ...] = Field((64,), min_length=1, description="Width of each recurrent layer.")

    @model_validator(mode="after")
    def _check_heads(self) -> "TransformerLstmConfig":
        if self.units % self.heads:
            raise ValueError(f"units of transformer_lstm ({self.units}) must be a multiple of heads ({self.heads})")
        return self


class AdditiveConfig(ModelConfig):
    """A regression on trend, seasons, holidays and covariates; it needs `trend` in features.calendar."""

    kind: Literal["additive"] = Field("additive", description="Kind of model.")
    anchored: bool = Field(
        True,
        description="Begin at the level of the last steps; otherwise the regression alone says where the series is.",
    )
    changepoints: int = Field(
        25, ge=0, description="Points over the first 80 % of the train cut where the slope may change."
    )
    changepoint_l2: float = Field(1e-4, ge=0, description="Penalty on squared changes of the slope.")
    season_l2: float = Field(
        1e-6, ge=0, description="Penalty on squared coefficients of seasons, holidays and covariates."
    )


class LinearConfig(ModelConfig):
    """A linear map from the context to the horizon."""

    kind: Literal["linear"] = Field("linear", description="Kind of model.")
    form: Literal["dlinear", "nlinear"] = Field(
        "dlinear",
        description="`dlinear`: the moving average and what is left of it, each by a map of its own; `nlinear`: one map "
        "of the differences to the last value.",
    )
    kernel: int = Field(25, gt=1, description="Steps of the moving average of `dlinear`.")


class RidgeConfig(SingleConfig):
    """A linear map from the context to the horizon that is solved in closed form; `training` has nothing to say of it."""

    kind: Literal["ridge"] = Field("ridge", description="Kind of model.")


class TsmixerConfig(ModelConfig):
    """Perceptrons that mix along time and across columns."""

    kind: Literal["tsmixer"] = Field("tsmixer", description="Kind of model.")
    units: int = Field(32, gt=0, description="Columns between the blocks, of the history and of the future each.")
    hidden_units: int = Field(64, gt=0, description="Hidden width of a feature mixing.")
    layers: int = Field(2, gt=0, description="Blocks.")
    normalisation: Literal["none", "layer", "batch"] = Field(
        "layer", description="Normalisation of what goes into each mixing."
    )


SINGLE_KINDS: tuple[type[SingleConfig], ...] = (
    SegmentLstmConfig,
    SegmentGruConfig,
    LstmConfig,
    BilstmConfig,
    GruConfig,
    StackedLstmConfig,
    Seq2seqConfig,
    CnnLstmConfig,
    TransformerLstmConfig,
    AdditiveConfig,
    LinearConfig,
    RidgeConfig,
    TsmixerConfig,
)


def _kind(value: Any) -> str:
    kind = value.get("kind", DEFAULT_KIND) if isinstance(value, dict) else getattr(value, "kind", DEFAULT_KIND)
    return str(kind)


_AnySingle = (
    Annotated[SegmentLstmConfig, Tag("segment_lstm")]
    | Annotated[SegmentGruConfig, Tag("segment_gru")]
    | Annotated[LstmConfig, Tag("lstm")]
    | Annotated[BilstmConfig, Tag("bilstm")]
    | Annotated[GruConfig, Tag("gru")]
    | Annotated[StackedLstmConfig, Tag("stacked_lstm")]
    | Annotated[Seq2seqConfig, Tag("seq2seq")]
    | Annotated[CnnLstmConfig, Tag("cnn_lstm")]
    | Annotated[TransformerLstmConfig, Tag("transformer_lstm")]
    | Annotated[AdditiveConfig, Tag("additive")]
    | Annotated[LinearConfig, Tag("linear")]
    | Annotated[RidgeConfig, Tag("ridge")]
    | Annotated[TsmixerConfig, Tag("tsmixer")]
)

SingleModel = Annotated[_AnySingle, Discriminator(_kind)]
"""Settings of one model of any kind."""


class EnsembleConfig(KindConfig):
    """Several models as one, by shares found on the validation period."""

    kind: Literal["ensemble"] = Field("ensemble", description="Kind of model.")
    members: tuple[SingleModel, ...] = Field(
        min_length=1,
        description="The models, each with its own settings; `calibrate` of the ensemble is the one that counts.",
    )
    seeds: int = Field(1, gt=0, description="Models of each member, with training.seed and the numbers after it.")

    @model_validator(mode="after")
    def _check_members(self) -> "EnsembleConfig":
        if len(self.members) * self.seeds < 2:
            raise ValueError("an ensemble needs two models: give two members, or seeds of at least 2")
        return self

    def singles(self, seed: int) -> tuple[tuple[SingleConfig, int], ...]:
        """Every model with the seed of its training."""
        return tuple((member, seed + i) for member in self.members for i in range(self.seeds))


AnyModel = Annotated[_AnySingle | Annotated[EnsembleConfig, Tag("ensemble")], Discriminator(_kind)]
"""Settings of a model of any kind, or of an ensemble."""
