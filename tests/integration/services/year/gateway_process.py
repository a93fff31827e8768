"""The gateway by another clock: `python -m tests.integration.services.year.gateway_process CLOCK_FILE FLAG …`."""

import asyncio
import sys
from pathlib import Path

from serving.gateway.__main__ import build_parser, serve_gateway
from tests.integration.services.year.fast_clock import FastClock

if __name__ == "__main__":
    asyncio.run(serve_gateway(build_parser().parse_args(sys.argv[2:]), clock=FastClock(Path(sys.argv[1]))))
