"""A configuration with images by digest, as a file."""

from pathlib import Path

import pytest

DIGEST = "registry.example/almanac@sha256:" + "0" * 64

CONFIG = f"""\
name: toy
data: {{uri: https://tables.example/load.csv, target: load}}
compression: {{max_accuracy_loss: 0.1}}
gates:
  model: {{max_mae: 1, max_rmse: 1, max_naive_ratio: 1, max_champion_ratio: 1}}
  compressed: {{max_mae: 1, max_rmse: 1}}
  serving: {{max_latency_ms: 50, max_difference_ratio: 0.001}}
cluster:
  images: {{steps: "{DIGEST}", trainer: "{DIGEST}", serving: "{DIGEST}"}}
"""


@pytest.fixture
def config_path(tmp_path: Path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(CONFIG)
    return path
