"""Learning curves in files: history.json of a run, a Keras history as JSON, the CSV of Keras' CSVLogger."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from forecasting.errors import ConfigError

SUFFIXES = (".json", ".csv")
_NAMES = {"train_loss": ("train_loss", "loss"), "validation_loss": ("validation_loss", "val_loss")}
"""What each loss is called: by us, by Keras."""
_LOST = ("", "na", "nan", "inf", "-inf", "null", "none")


def read_history_file(path: Path) -> list[Mapping[str, Any]]:
    """Rows of epochs as in `history.json`, whatever wrote the file.

    Args:
        path: A `.json` file with a list of epochs (ours) or a list of values by name (`History.history` of Keras), or a
            `.csv` file with a row an epoch.

    Raises:
        ConfigError: It is none of these, or has no epoch, or no losses of training and validation.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the history {path}: {error}") from error
    rows = _of_csv(text) if path.suffix.lower() == ".csv" else _of_json(text, path)
    if not rows:
        raise ConfigError(f"the history {path} must have at least one epoch, found none")
    return [_row(row, number, path) for number, row in enumerate(rows, start=1)]


def _of_csv(text: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = list(csv.DictReader(text.splitlines()))
    # CSVLogger counts from 0.
    from_zero = bool(rows) and str(rows[0].get("epoch", "")).strip() in ("0", "0.0")
    return [{**row, "epoch": i} for i, row in enumerate(rows, start=1)] if from_zero else rows


def _of_json(text: str, path: Path) -> list[dict[str, Any]]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the history {path} must be JSON: {error}") from error
    if isinstance(document, list) and all(isinstance(row, dict) for row in document):
        return document
    columns = document.get("history", document) if isinstance(document, dict) else None
    if not isinstance(columns, dict):
        raise ConfigError(f"the history {path} must be a list of epochs, or lists of values by name as Keras has them")
    lists = {name: values for name, values in columns.items() if isinstance(values, list)}
    losses = [
        found for names in _NAMES.values() if (found := next((lists[name] for name in names if name in lists), None))
    ]
    if len({len(values) for values in losses}) > 1:
        raise ConfigError(f"the history {path} must have as many losses of training as of validation, found {len(losses[0])} and {len(losses[1])}")  # fmt: skip
    n_epochs = len(losses[0]) if losses else 0
    return [{name: values[i] for name, values in lists.items() if i < len(values)} for i in range(n_epochs)]


def _row(row: Mapping[str, Any], number: int, path: Path) -> Mapping[str, Any]:
    losses = {name: _loss(row, names, number, path) for name, names in _NAMES.items()}
    try:
        epoch = int(float(row.get("epoch") or number))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"epoch of row {number} of {path} must be a number, found {row['epoch']!r}") from error
    return {**row, **losses, "epoch": epoch}


def _loss(row: Mapping[str, Any], names: Sequence[str], number: int, path: Path) -> float:
    name = next((name for name in names if name in row), None)
    if name is None:
        raise ConfigError(
            f"epoch {number} of {path} must have {' or '.join(names)}, found {', '.join(map(str, row)) or 'nothing'}; "
            "train with validation data"
        )
    value = row[name]
    if value is None or (isinstance(value, str) and value.strip().lower() in _LOST):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} of epoch {number} of {path} must be a number, found {value!r}") from error
