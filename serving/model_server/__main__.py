"""`python -m serving.model_server`."""

import asyncio
import logging
import sys

import uvloop

from forecasting.errors import AlmanacError
from serving.model_server.flags import parse_flags
from serving.model_server.server import serve_models


def main() -> int:
    """Run the server; exit code 0 after SIGTERM."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    config = parse_flags(sys.argv[1:])
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve_models(config))
    except AlmanacError as error:
        sys.stderr.write(f"Failed to start server. Error: {error}\n")
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
