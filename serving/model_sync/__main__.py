"""`python -m serving.model_sync push|pull`: beside the worker, and beside every server and gateway."""

import argparse
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from forecasting.admission.provenance import ProvenanceConfig
from forecasting.admission.signing import read_public_key
from forecasting.errors import AlmanacError
from forecasting.repository import ModelRepository
from forecasting.stopping import stopped_by_signals
from serving.model_sync.object_store import open_object_store
from serving.model_sync.pull import PulledModel
from serving.model_sync.push import PushedModel

logger = logging.getLogger(__name__)
DEFAULT_EVERY_S = 10.0


def build_parser() -> argparse.ArgumentParser:
    """The parser of all flags."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.model_sync",
        allow_abbrev=False,
        description="Keep a model repository and an object store alike.",
    )
    parser.add_argument("direction", choices=["push", "pull"], help="push into the store, pull out of it")
    parser.add_argument("--model", required=True, help="name of the model")
    parser.add_argument("--models-dir", type=Path, required=True, help="model repository; a pull alone writes into it")
    parser.add_argument("--store", required=True, help="s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or file:///FOLDER")
    parser.add_argument("--every-s", type=float, default=DEFAULT_EVERY_S, help="seconds between two rounds")
    parser.add_argument(
        "--signature-key-file",
        type=Path,
        help="public key (PEM) whose owner must have signed a version before a pull shows it; left out: none must be",
    )
    parser.add_argument("--once", action="store_true", help="one round; its failure is the exit code")
    return parser


def make_round(flags: argparse.Namespace) -> Callable[[], list[int]]:
    """What is done in each round; it returns the versions that it moved.

    Raises:
        ConfigError: The address of the store is none, or the key.
    """
    repository, store = ModelRepository(flags.models_dir), open_object_store(flags.store)
    if flags.direction == "push":
        return PushedModel(repository, store, flags.model).push
    key = None if flags.signature_key_file is None else read_public_key(flags.signature_key_file)
    admission = None if key is None else ProvenanceConfig(public_key=key)
    return PulledModel(store, repository, flags.model, admission=admission).pull


def go_round(do: Callable[[], list[int]], every_s: float, stop: threading.Event) -> None:
    """Round after round until the event; one that fails is logged, and what is there stays as it is."""
    while not stop.is_set():
        try:
            do()
        except AlmanacError as error:
            logger.warning("%s", error)
        stop.wait(every_s)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 0 after SIGTERM."""
    flags = build_parser().parse_args(arguments)
    try:
        do = make_round(flags)
        if flags.once:
            do()
            return 0
    except AlmanacError as error:
        sys.stderr.write(f"model_sync {flags.direction}: {error}\n")
        return int(error.exit_code)
    stop = threading.Event()
    with stopped_by_signals(stop):
        go_round(do, flags.every_s, stop)
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    sys.exit(main())
