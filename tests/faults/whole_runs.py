"""Kills whole runs at random moments, resumes them, and holds what they end with against a run that nobody disturbed.

    python -m tests.faults.whole_runs --kills 20 --seed 1 --out build/kills.json

`make kills` does this. Every kill is a SIGKILL of the whole process group of `almanac run`; a run is killed a few times,
each time later, and goes on by `--resume` in between. Moments are drawn from a seed over the CPU time of the undisturbed run,
which neighbours on the machine do not change much.
"""

import argparse
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from google.protobuf.message import DecodeError

from forecasting.cache import STEP_KINDS
from forecasting.contracts.artifacts import WARMUP_FILE
from forecasting.contracts.steps import StepName
from forecasting.manifests import digest_file, digest_text, payload_files, verify
from forecasting.repository import ModelRepository
from forecasting.runs import list_runs, load_run
from forecasting.wire.messages import SavedModel
from tests.benchmarks.load import family
from tests.integration.load_home import ALMANAC, MODEL, LoadHome, half_written, make_home

EARLIER = "2024-04-15T00:00:00Z"
"""Cutoff of the champion that is there before; the killed runs have the end of the table."""
LAST = 0.9
"""Share of a run within which it is killed: what comes after could be over too soon."""
_NOT_COMPARED = {"fingerprint.pb", WARMUP_FILE}
"""TensorFlow's own random number, and messages whose maps have no order."""
_TRACED = re.compile(r"(__(?:inference|forward|backward)_\w+?)_\d+(?!\w)")
_CAPTURED = re.compile(r's: "\d+"')
_COMPARED = {
    StepName.VALIDATE_DATA: ("series.parquet", "index.parquet", "schema.json"),
    StepName.BUILD_FEATURES: ("planes.npy", "feature_spec.json"),
    StepName.TRAIN_MODEL: ("model.weights.h5",),
    StepName.EVALUATE_MODEL: ("scores.parquet", "metrics.json"),
    StepName.EVALUATE_COMPRESSED: ("scores.parquet",),
}
_RESUME_S = 6.0
"""About the CPU time until a resumed run is where the killed one was."""
_ENDED_S, _LOOK_S, _LONGEST_S = 10.0, 0.05, 1_800.0


@dataclass(frozen=True)
class EndRecord:
    """What a run came to. files: digests of the champion and of what steps wrote; tracked: rows of the tracking database."""

    champion: int
    versions: tuple[int, ...]
    files: dict[str, str]
    tracked: dict[str, int]


@dataclass(frozen=True)
class KillRecord:
    """One kill: CPU seconds after the start of the attempt, the steps that were finished by then, the one that ran."""

    after_s: float
    finished: int
    running: str


class BrokenHomeError(AssertionError):
    """A kill left what no kill may leave."""


def begin(folder: Path) -> LoadHome:
    """A home with a champion, made up to the earlier cutoff."""
    home = make_home(folder)
    _through(home, "run", "-c", str(home.config), "--cutoff", EARLIER)
    return home


def undisturbed(begun: LoadHome, folder: Path) -> tuple[EndRecord, float]:
    """What the second run ends with when nobody kills it, and its CPU seconds."""
    home = begun.copy(folder)
    cpu_s = _through(home, "run", "-c", str(home.config))
    return ended(home), cpu_s


def killed(begun: LoadHome, folder: Path, *, moments_s: Sequence[float], expected: EndRecord) -> list[KillRecord]:
    """Kill a run at moments, CPU seconds of an undisturbed one, resume it after each, let it end, and look at its end.

    Raises:
        BrokenHomeError: After a kill there is half a version, another champion, a damaged database or a process that goes
            on; or the end is not that of the undisturbed run.
    """
    home, kills, before_s = begun.copy(folder), [], 0.0
    n_runs = len(list_runs(home.layout))
    for moment_s in moments_s:
        life_s, before_s = moment_s - before_s + (_RESUME_S if before_s else 0.0), moment_s
        if (kill := _attempt(home, _words(home, n_runs), life_s)) is None:
            break
        kills.append(kill)
        assert_sound(home, expected)
    if not kills or load_run(home.latest()).exit_code != 0:
        _through(home, *_words(home, n_runs))
    assert_sound(home, expected)
    if (found := ended(home)) != expected:
        raise BrokenHomeError(f"after {kills} the end must be {expected}, found {found}")
    if left := half_written(home.latest()):
        raise BrokenHomeError(f"a run that ended must have whole outputs only, found {left}")
    return kills


def moments(draw: random.Random, n_kills: int, cpu_s: float) -> list[float]:
    """Ascending moments of one run, anywhere from its start to about its end."""
    return sorted(draw.uniform(0.2, LAST * cpu_s) for _ in range(n_kills))


def ended(home: LoadHome) -> EndRecord:
    """What stands in a home after a run."""
    repository, run = ModelRepository(home.layout.models), home.latest()
    roles = repository.roles(MODEL)
    if roles.champion is None:
        raise BrokenHomeError(f"there must be a champion in {home.layout.models}, found none")
    files = _contents(repository.version_dir(MODEL, roles.champion))
    for step, names in _COMPARED.items():
        verify(run.step(step), STEP_KINDS[step])
        files |= {f"{step}/{name}": digest_file(run.step(step) / name) for name in names}
    # A number may be spent by a kill; versions may not.
    return EndRecord(len(repository.versions(MODEL)), tuple(range(1, len(repository.versions(MODEL)) + 1)), files,
                     _tracked(home.layout.tracking_database))  # fmt: skip


def assert_sound(home: LoadHome, expected: EndRecord) -> None:
    """What holds at every moment: whole versions, each once, a champion among them, databases that can be read.

    Raises:
        BrokenHomeError: It does not.
    """
    repository = ModelRepository(home.layout.models)
    roles, versions = repository.roles(MODEL), repository.versions(MODEL)
    if roles.champion not in versions or versions[0] != 1 or len(versions) > len(expected.versions):
        raise BrokenHomeError(
            f"version 1 and at most one more must be there, one of them champion: {roles}, {versions}"
        )
    whole = {name: digest for name, digest in expected.files.items() if not name.startswith(tuple(StepName))}
    for version in versions[1:]:
        if (found := _contents(repository.version_dir(MODEL, version))) != whole:
            odd = sorted(name for name in {*found, *whole} if found.get(name) != whole.get(name))
            raise BrokenHomeError(f"version {version} must be the whole model, found others of {odd}")
    if roles.champion != 1 and roles.previous != 1:
        raise BrokenHomeError(f"the champion so far must be the previous one, found {roles}")
    repository.audit(MODEL)
    with closing(sqlite3.connect(home.layout.tracking_database)) as connection:
        (said,) = connection.execute("PRAGMA integrity_check").fetchone()
    if said != "ok":
        raise BrokenHomeError(f"{home.layout.tracking_database} must be whole, found {said}")


def _attempt(home: LoadHome, words: Sequence[str], life_s: float) -> KillRecord | None:
    """One attempt that is killed after some CPU seconds; none where it ended before."""
    with _started(home, words) as process:
        while process.poll() is None and _cpu_s(process.pid) < life_s:
            time.sleep(_LOOK_S)
        if process.returncode is not None:
            _require_done(process, words)
            return None
    deadline_s = time.monotonic() + _ENDED_S
    while left := list(_of_home(home)):
        if time.monotonic() > deadline_s:
            raise BrokenHomeError(f"no process of the run may outlive its group, found {left}")
        time.sleep(_LOOK_S)
    steps = load_run(home.latest()).steps.values()
    running = [step.step.value for step in steps if not step.finished]
    return KillRecord(life_s, sum(step.finished for step in steps), running[0] if running else "")


def _through(home: LoadHome, *words: str) -> float:
    """The command, which must end with 0; its CPU seconds."""
    with _started(home, words) as process:
        cpu_s, deadline_s = 0.0, time.monotonic() + _LONGEST_S
        while process.poll() is None and time.monotonic() < deadline_s:
            cpu_s = max(cpu_s, _cpu_s(process.pid))
            time.sleep(_LOOK_S)
        _require_done(process, words)
        return cpu_s


@contextmanager
def _started(home: LoadHome, words: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """The command in a process group of its own, which is killed as a whole in the end."""
    with (home.folder / "said.log").open("ab") as log:
        process = subprocess.Popen(
            [str(ALMANAC), *words], cwd=home.folder, env=home.environment(), start_new_session=True,
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def _require_done(process: subprocess.Popen[bytes], words: Sequence[str]) -> None:
    if process.returncode != 0:
        raise BrokenHomeError(
            f"{words} must end with 0, found {process.returncode}; said.log of the home's folder says why"
        )


def _cpu_s(pid: int) -> float:
    """CPU seconds of a process, all that it started, and what of that has ended."""
    ticks = 0
    for one in family(pid):
        with suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def _words(home: LoadHome, n_runs_before: int) -> tuple[str, ...]:
    """A new run where none was begun, else the one to resume."""
    runs = list_runs(home.layout)
    return ("run", "--resume", runs[0].name) if len(runs) > n_runs_before else ("run", "-c", str(home.config))


def _of_home(home: LoadHome) -> Iterator[int]:
    """Processes whose environment names this home."""
    word = f"ALMANAC_HOME={home.home}".encode()
    for place in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if word in place.read_bytes().split(b"\0"):
                yield int(place.parent.name)


def _contents(version: Path) -> dict[str, str]:
    found = {path.relative_to(version).as_posix(): path for path in payload_files(version)}
    return {name: "" if name in _NOT_COMPARED else _digest(path) for name, path in found.items()}


def _digest(path: Path) -> str:
    return graph_digest(path.read_bytes()) if path.name == "saved_model.pb" else digest_file(path)


def graph_digest(content: bytes) -> str:
    """Digest of a SavedModel's lines, in any order, without TensorFlow's own numbers.

    It numbers functions and what they capture by how many a process has traced before: fewer in one that went on in the
    middle of a step.
    """
    try:
        text = _TRACED.sub(r"\1", str(SavedModel.FromString(content)))
    except DecodeError:
        return "no graph"
    return digest_text("\n".join(sorted(_CAPTURED.sub('s: ""', line.strip()) for line in text.splitlines())))


def _tracked(database: Path) -> dict[str, int]:
    """How many runs and registered versions the tracking database has."""
    with closing(sqlite3.connect(database)) as connection:
        return {
            table: connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
            for table in ("runs", "model_versions")
        }


def main(words: Sequence[str]) -> int:
    """Kill, and write what was killed and where."""
    parser = argparse.ArgumentParser(prog="whole_runs", description=__doc__, allow_abbrev=False)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--kills-per-run", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(words)
    draw, kills = random.Random(given.seed), list[KillRecord]()
    with tempfile.TemporaryDirectory(prefix="almanac-kills-") as temporary:
        folder = Path(temporary)
        begun = begin(folder)
        expected, cpu_s = undisturbed(begun, folder / "undisturbed")
        print(f"a run that nobody disturbs takes {cpu_s:.0f} CPU seconds", flush=True)
        n_runs = 0
        while len(kills) < given.kills:
            wanted = moments(draw, min(given.kills_per_run, given.kills - len(kills)), cpu_s)
            found = killed(begun, folder / f"killed-{n_runs}", moments_s=wanted, expected=expected)
            kills, n_runs = kills + found, n_runs + 1
            print(f"{len(kills)} kills: {', '.join(kill.running or 'between steps' for kill in found)}", flush=True)
    document_ = {"seed": given.seed, "n_runs": n_runs, "n_kills": len(kills), "kills": [asdict(kill) for kill in kills]}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(document_, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
