"""`python -m serving.model_server`."""

import asyncio
import logging
import sys
import threading

import uvloop

from forecasting.errors import AlmanacError
from serving.model_server.flags import build_parser, config_of
from serving.model_server.processes import run_processes
from serving.model_server.server import leave, serve_models
from serving.model_server.status import RequestError
from serving.model_server.version_text import version_lines

FAILED = 255
"""Exit code of a server that could not start, that of tensorflow_model_server's `return -1`."""
_SWITCH_S = 0.0005
"""A thread that is done with a model waits no longer for an event loop that is busy refusing; CPython's own is 5 ms."""


def main() -> int:
    """Run the server; exit code 0 after SIGTERM."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    flags = build_parser().parse_args()
    if flags.version:
        sys.stdout.write(version_lines())
        return 0
    try:
        config = config_of(flags)
        sys.setswitchinterval(_SWITCH_S)
        if config.n_processes > 1:
            return run_processes(config, sys.argv[1:])
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve_models(config))
        if any(not one.daemon for one in threading.enumerate() if one is not threading.main_thread()):
            leave()
    except RequestError as error:
        sys.stderr.write(f"Failed to start server. Error: {error.code.name}: {error.message}\n")
        return FAILED
    except AlmanacError as error:
        sys.stderr.write(f"Failed to start server. Error: {error}\n")
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
