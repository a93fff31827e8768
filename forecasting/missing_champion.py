"""Why a model cannot be served yet, and what to do."""

from forecasting.command_word import command_word
from forecasting.contracts.vocabulary import ModelRole
from forecasting.repository import APPROVAL_KEY, ModelRepository


def missing_champion(repository: ModelRepository, model: str) -> str:
    """One sentence on a model without a champion; names the candidate that waits for approval where there is one."""
    candidate = repository.role(model, ModelRole.CANDIDATE)
    sentence = f"model {model!r} has no champion in {repository.root}"
    if candidate is None:
        return f"{sentence}; run the pipeline first"
    if repository.record(model, candidate).get(APPROVAL_KEY):
        return f"{sentence}; version {candidate} waits for approval: `{command_word()} models approve {model}` makes it champion"
    return f"{sentence}; version {candidate} is being deployed"
