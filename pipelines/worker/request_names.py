"""How runs of a cluster are named that requests to train again asked for."""

from forecasting.store.retrain_requests import RetrainRequestRecord


def request_name(request: RetrainRequestRecord) -> str:
    """Names a request, in any store: its number, and the time of its making."""
    return f"retrain {request.id} {request.created_at}"


def numbered_name(name: str, number: int) -> str:
    """Names one run of a request; the first is named as the request. number: from 1."""
    return name if number == 1 else f"{name} {number}"


def is_run_of(request: RetrainRequestRecord, run_name: str) -> bool:
    """Whether a run of this name is one of a request."""
    name = request_name(request)
    return run_name == name or run_name.startswith(f"{name} ")
