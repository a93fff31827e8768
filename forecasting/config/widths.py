"""Which widths of each kind of model can be made smaller after training, for settings to be checked before any network exists."""

from forecasting.config.models import EnsembleConfig, KindConfig, ModelConfig

WIDTHS: dict[str, tuple[str, ...]] = {
    "segment_lstm": ("units", "embedding_units", "step_units", "head_units"),
    "segment_gru": ("units", "embedding_units", "step_units", "head_units"),
    "lstm": ("units", "step_units", "head_units"),
    "bilstm": ("units", "step_units", "head_units"),
    "gru": ("units", "step_units", "head_units"),
    "stacked_lstm": ("units", "step_units", "head_units"),
    "seq2seq": ("units", "step_units", "head_units"),
    "cnn_lstm": ("filters", "units", "step_units", "head_units"),
    "transformer_lstm": ("recurrent_units", "step_units", "head_units"),
    "additive": ("head_units",),
    "linear": ("head_units",),
    "ridge": (),
    "tsmixer": ("units", "hidden_units", "step_units", "head_units"),
}
"""Settings of each kind that are numbers of units which structured pruning may lower."""


def supports_structured(model: KindConfig) -> str | None:
    """Why a model cannot lose whole units; none where it can."""
    if isinstance(model, EnsembleConfig):
        reasons = [supports_structured(member) for member in model.members]
        return None if None in reasons else reasons[0]
    if not WIDTHS[model.kind]:
        return f"{model.kind} has no hidden units that could be taken out"
    return None


def supports_integers(model: KindConfig) -> str | None:
    """Why a model has no products for INT8, with ranges of its activations; none where it has some."""
    if isinstance(model, EnsembleConfig):
        reasons = [supports_integers(member) for member in model.members]
        return None if None in reasons else reasons[0]
    if not isinstance(model, ModelConfig):
        return f"{model.kind} has no layers of a network whose products could be in INT8"
    return None
