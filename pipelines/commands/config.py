"""`almanac config show|schema|check`."""

import argparse
import json
import sys
from pathlib import Path

import yaml

from forecasting.config import AlmanacConfig, load_config


def show(arguments: argparse.Namespace) -> int:
    """The configuration with all defaults, as YAML or JSON."""
    document = load_config(Path(arguments.config), arguments.overrides).model_dump(mode="json")
    if arguments.json:
        print(json.dumps(document, indent=1))
    else:
        print(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), end="")
    return 0


def schema(_arguments: argparse.Namespace) -> int:
    """JSON Schema of configurations."""
    print(json.dumps(AlmanacConfig.model_json_schema(), indent=1))
    return 0


def check(arguments: argparse.Namespace) -> int:
    """Read a configuration; a wrong one is an error as in every other command."""
    config = load_config(Path(arguments.config), arguments.overrides)
    print(f"{arguments.config} is a configuration of model {config.name!r}", file=sys.stderr)
    return 0
