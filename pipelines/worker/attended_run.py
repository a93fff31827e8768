"""`python -m pipelines.worker.attended_run run …`: as `almanac run …`, but it stops once nobody holds its standard input.

A worker keeps the other end of that pipe. However the worker ends, kill -9 included, the run is then told to stop as by SIGTERM,
so that whoever takes the request over does not train beside it.
"""

import os
import signal
import sys
import threading

from pipelines.cli import main


def stop_when_alone() -> None:
    """Wait until nobody holds the other end of standard input, then send SIGTERM to this process."""
    # Not through sys.stdin: its lock would be held while the interpreter ends.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=stop_when_alone, daemon=True).start()
    sys.exit(main(sys.argv[1:]))
