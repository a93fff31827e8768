"""Histories of other programs, read as our own."""

import json
import math
from pathlib import Path

import pytest

from forecasting.errors import ConfigError
from forecasting.learning_files import read_history_file


def test_a_keras_history_is_read(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    path.write_text('{"loss": [1.0, 0.5], "val_loss": [1.2, NaN], "lr": [0.1, 0.1]}')
    rows = read_history_file(path)
    assert [(row["epoch"], row["train_loss"]) for row in rows] == [(1, 1.0), (2, 0.5)]
    assert rows[0]["validation_loss"] == 1.2
    assert math.isnan(rows[1]["validation_loss"])


def test_the_csv_of_keras_counts_epochs_from_zero_and_is_read_from_one(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss,val_loss\n0,1.0,1.2\n1,0.5,NA\n")
    rows = read_history_file(path)
    assert [(row["epoch"], row["train_loss"]) for row in rows] == [(1, 1.0), (2, 0.5)]
    assert math.isnan(rows[1]["validation_loss"])


def test_our_own_history_is_read_with_its_gradients(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    path.write_text(
        json.dumps([{"epoch": 1, "train_loss": 1.0, "validation_loss": None, "layer_norms": {"a": [1, 2]}}])
    )
    (row,) = read_history_file(path)
    assert row["layer_norms"] == {"a": [1, 2]}
    assert math.isnan(row["validation_loss"])


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", "{", "must be JSON"),
        ("a.json", "3", "must be a list of epochs"),
        ("a.json", "[]", "at least one epoch"),
        ("a.json", '{"loss": [1, 2]}', "must have validation_loss or val_loss, found loss; train with validation data"),
        ("a.json", '{"loss": [1, 2], "val_loss": [1]}', "as many losses of training as of validation, found 2 and 1"),
        ("a.csv", "epoch,loss,val_loss\n0,x,1\n", "loss of epoch 1 of .* must be a number, found 'x'"),
        ("a.csv", "epoch,loss,val_loss\n", "at least one epoch"),
    ],
)
def test_a_file_that_is_no_history_is_refused_with_what_it_lacks(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_history_file(path)


def test_a_file_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the history"):
        read_history_file(tmp_path / "none.csv")
