"""The answer of a gateway as a table."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from forecasting.errors import RemoteError

if TYPE_CHECKING:
    import pandas as pd

ARROW = "application/vnd.apache.arrow.stream"


@dataclass(frozen=True)
class Forecasts:
    """Forecasts in long form.

    table: one row a series and step: series, timestamp, point, mean where the model has one, q0.1 and so on, origin,
    degraded, imputed, stale, reason, limited_by. target: what is forecast; step_s: from row to row. skipped: reason by
    series that was not forecast. request_id: for the gateway's log. role: of the version, champion or candidate.
    """

    table: pa.Table
    model: str
    version: int
    target: str
    step_s: int
    skipped: dict[str, str]
    request_id: str
    role: str

    def to_pandas(self) -> "pd.DataFrame":
        """The table as a data frame of pandas, which must be installed."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame


def read_forecasts(body: bytes, *, endpoint: str, request_id: str) -> Forecasts:
    """Read an Arrow answer.

    Raises:
        RemoteError: It is none of a gateway.
    """
    try:
        table = pa.ipc.open_stream(body).read_all()
        about: dict[str, Any] = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        skipped = {entry["series"]: entry["reason"] for entry in json.loads(about["skipped"])}
        return Forecasts(
            table, about["model"], int(about["version"]), about["target"], int(about["step_s"]), skipped, request_id,
            about["role"],
        )  # fmt: skip
    except (pa.ArrowInvalid, OSError, KeyError, ValueError, TypeError) as error:
        raise RemoteError(f"{endpoint} must answer with forecasts; is it a gateway? {error}") from error
