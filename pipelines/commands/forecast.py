"""`almanac forecast`."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from forecasting.config import load_config
from forecasting.config.gateway import GatewayConfig
from forecasting.config.sections import ServingConfig
from forecasting.errors import ConfigError
from forecasting.formats import as_number
from pipelines.commands.forecast_all import forecast_all
from pipelines.forecasts import ask_gateway, check_output, forecast_table, origin_notes, write_forecasts
from pipelines.known_file import read_known
from pipelines.records import table

_EVERY_ADDRESS = "0.0.0.0"  # nosec B104 # compared, not bound


def forecast(arguments: argparse.Namespace) -> int:
    """Ask the gateway and print a table, JSON, or write a file; from when it is goes to stderr. `--batch` asks nobody."""
    config = load_config(Path(arguments.config), arguments.overrides)
    if arguments.batch is not None:
        return forecast_all(arguments, config)
    if arguments.cutoff is not None or arguments.version is not None:
        raise ConfigError("--cutoff and --version are of a batch: give --batch FOLDER|URL with them, or --origin T")
    if arguments.out:
        check_output(Path(arguments.out))
    if arguments.all and arguments.series:
        raise ConfigError("--all asks for every series: leave out --series, or --all")
    endpoint = arguments.endpoint or local_endpoint(config.serving, config.gateway)
    known = read_known(Path(arguments.known), arguments.series, config.data) if arguments.known else None
    # Of the gateway that this configuration starts the certificate is at hand, whoever signed it.
    ca_file = None if arguments.endpoint else config.gateway.tls_certificate
    answer = ask_gateway(endpoint, arguments.series, arguments.origin, known, ca_file)
    for note in origin_notes(answer):
        print(note, file=sys.stderr)
    if arguments.out:
        write_forecasts(answer, Path(arguments.out))
        print(f"wrote {arguments.out}: {len(answer['forecasts'])} series, version {answer['version']}", file=sys.stderr)
    elif arguments.json:
        print(json.dumps(answer, indent=1))
    else:
        found = forecast_table(answer)
        rows = [tuple(_cell(cell) for cell in row) for row in found.rows]
        print("\n".join(table([found.columns, *rows], right=frozenset(range(2, len(found.columns))))))
    return 0


def _cell(cell: Any) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else ""
    return as_number(cell) if isinstance(cell, float) else str(cell)


def local_endpoint(serving: ServingConfig, gateway: GatewayConfig | None = None) -> str:
    """Where `almanac serve` with this configuration listens.

    Raises:
        ConfigError: The configuration leaves the port open.
    """
    if serving.gateway_port == 0:
        raise ConfigError(
            "serving.gateway_port is 0, any free port; give --endpoint URL, which the serve command printed"
        )
    settings = gateway or GatewayConfig()
    bound = settings.bind_address or serving.bind_address
    address = "127.0.0.1" if bound in (_EVERY_ADDRESS, "") else bound
    return f"{'https' if settings.tls_certificate else 'http'}://{address}:{serving.gateway_port}"
