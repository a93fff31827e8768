"""The process that talks to Weights & Biases; nothing else imports it.

    python -m components.reporting.tracking.wandb_sender HOME [BUNDLE…]

It prints one line of JSON a bundle, `SentRecord`, as soon as it is done with it. A run is a group: one run of
the pipeline, one of each step with curves. Their ids are made from the run's name, so that a bundle that is
sent again is the same run. Offline (`WANDB_MODE=offline`) everything is written under `wandb/` of the home, for
`wandb sync`.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components.reporting.tracking.bundle import (
    FILES_DIR,
    BundleRecord,
    TrackedPartRecord,
    read_bundle,
)
from components.reporting.tracking.spool import CONNECTION_ERRORS, SentRecord
from forecasting.contracts.layout import HomeLayout
from forecasting.errors import AlmanacError, ArtifactError, RemoteError
from forecasting.manifests import digest_text

GATE_TABLE = "gates.json"
_PICTURES = "*.png"


def main(arguments: Sequence[str] | None = None) -> int:
    """Send bundles; returns 0 also where the server refuses, which the lines say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("bundles", nargs="*", type=Path)
    parsed = parser.parse_args(arguments)
    # The library prints; what is ours must be alone on its stream.
    told, sys.stdout = sys.stdout, sys.stderr
    down: list[str] = []
    for directory in parsed.bundles:
        record = (
            SentRecord(directory.name, problem=down[0]) if down else _send(HomeLayout(parsed.home), directory, down)
        )
        told.write(json.dumps(asdict(record)) + "\n")
        told.flush()
    return 0


def _send(home: HomeLayout, directory: Path, down: list[str]) -> SentRecord:
    """Send a bundle; why the server failed goes into `down`, a fault of the bundle does not."""
    try:
        bundle = read_bundle(directory)
        run_id = _send_part(home, bundle, bundle.pipeline, directory)
        for part in bundle.steps:
            if part.curves:
                _send_part(home, bundle, part, directory)
    except RemoteError as error:
        down.append(str(error))
        return SentRecord(directory.name, problem=str(error))
    except AlmanacError as error:
        return SentRecord(directory.name, problem=str(error))
    return SentRecord(directory.name, experiment=_project(bundle), run_id=run_id)


def _send_part(home: HomeLayout, bundle: BundleRecord, part: TrackedPartRecord, directory: Path) -> str:
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    run_id = digest_text(f"{bundle.run}/{part.part}")[:16]
    # Without links to files of the bundle, which is gone when `wandb sync` comes.
    settings = wandb.Settings(
        init_timeout=float(bundle.tracking.request_timeout_s * (1 + bundle.tracking.max_retries)),
        disable_git=True, disable_code=True, save_code=False, symlink=False, x_disable_stats=True, x_disable_meta=True,
        console="off",
    )  # fmt: skip
    try:
        with wandb.init(
            project=_project(bundle),
            id=run_id,
            name=part.name if part is bundle.pipeline else f"{bundle.run}/{part.name}",
            group=bundle.run,
            job_type=part.part,
            config={**part.parameters, "tags": dict(part.tags)},
            dir=str(home.root),
            resume="allow",
            settings=settings,
        ) as run:
            _fill(run, part, directory / FILES_DIR / part.part)
    except (wandb.Error, *CONNECTION_ERRORS) as error:
        raise RemoteError(f"Weights & Biases failed: {' '.join(str(error).split())}") from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ArtifactError(
            f"a file of {directory} cannot be sent to Weights & Biases: {' '.join(str(error).split())}; "
            "remove the directory to forget it"
        ) from error
    return run_id


def _fill(run: Any, part: TrackedPartRecord, files: Path) -> None:
    import wandb

    for step, values in _rows(part):
        run.log(values, step=step)
    for name, value in part.metrics.items():
        run.summary[name] = value
    for path in sorted(files.rglob(_PICTURES)):
        run.log({f"figures/{path.stem}": wandb.Image(str(path))})
    if (files / GATE_TABLE).is_file():
        table = json.loads((files / GATE_TABLE).read_text(encoding="utf-8"))
        run.log({"gates": wandb.Table(columns=table["columns"], data=table["data"], allow_mixed_types=True)})
    for path in sorted(found for found in files.rglob("*") if found.is_file()):
        # In a folder of the part's name: beside it the library keeps files of its own, among them another config.yaml.
        run.save(str(path), base_path=str(files.parent), policy="now")


def _rows(part: TrackedPartRecord) -> Iterator[tuple[int, dict[str, float]]]:
    """The points of all curves, step by step, as the library wants them."""
    rows: dict[int, dict[str, float]] = {}
    for name, curve in part.curves.items():
        for step, value in curve:
            rows.setdefault(step, {})[name] = value
    yield from sorted(rows.items())


def _project(bundle: BundleRecord) -> str:
    return bundle.tracking.wandb_project or bundle.model


if __name__ == "__main__":
    sys.exit(main())
