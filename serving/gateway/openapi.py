"""Writes docs/openapi.json from the routes: `python -m serving.gateway.openapi > docs/openapi.json`."""

import json
import sys

from serving.gateway.routes import make_routes


def openapi_text() -> str:
    """The OpenAPI document of the gateway, as it is kept in docs/."""
    return json.dumps(make_routes().openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(openapi_text())
