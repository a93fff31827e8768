"""Series in quarantine as they lie beside a series store: a store of their own, and why each of them is there.

quarantine/{schema.json,index.parquet,series.parquet}    the series, and vintages.parquet where they have vintages
quarantine/reasons.json                                  {id: reason}, where a version keeps its series
report.json                                              the same under `quarantined`, where validate_data wrote them
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forecasting.contracts.artifacts import (
    INDEX_FILE,
    QUARANTINE_DIR,
    QUARANTINE_REASONS_FILE,
    REPORT_FILE,
    SCHEMA_FILE,
    SERIES_FILE,
)
from forecasting.errors import ArtifactError
from forecasting.schema import Series
from forecasting.series_index import read_series_index
from forecasting.series_store import read_series_spec, read_series_store

STORE_FILES = (SCHEMA_FILE, INDEX_FILE, SERIES_FILE)


@dataclass(frozen=True)
class QuarantinedSeriesRecord:
    """A series that no model was trained on, and why, in words."""

    series: Series
    reason: str


def read_quarantine(store_dir: Path) -> tuple[QuarantinedSeriesRecord, ...]:
    """The series in quarantine beside a series store, in order of id; none where there are none.

    Raises:
        ArtifactError: A series has no reason.
    """
    folder = store_dir / QUARANTINE_DIR
    if not folder.is_dir():
        return ()
    reasons = quarantine_reasons(store_dir)
    return tuple(QuarantinedSeriesRecord(series, reasons[series.id]) for series in read_series_store(folder))


def quarantine_reasons(store_dir: Path) -> dict[str, str]:
    """Why each series of the quarantine beside a series store is there; empty where there is no quarantine.

    Raises:
        ArtifactError: They cannot be read, or one is missing.
    """
    folder = store_dir / QUARANTINE_DIR
    if not folder.is_dir():
        return {}
    kept = folder / QUARANTINE_REASONS_FILE
    path = kept if kept.is_file() else store_dir / REPORT_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        reasons = dict(document) if path == kept else _reported(document)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path} must say why each series is in quarantine: {error}") from error
    ids = read_series_index(folder, read_series_spec(folder).static).ids
    if missing := [name for name in ids if name not in reasons]:
        raise ArtifactError(f"{path} must say why each series is in quarantine, found nothing of {missing[0]!r}")
    return {name: reasons[name] for name in ids}


def _reported(document: dict[str, Any]) -> dict[str, str]:
    return {str(record["series"]): str(record["reason"]) for record in document["quarantined"]}
