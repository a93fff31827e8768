"""Trials of a search: each a process that is watched, pruned and stopped from here."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import optuna

from components.tuning.stages import stage_of
from components.tuning.study import ERROR, REFUSED, RESULT
from forecasting.errors import AlmanacError, StoppedError
from forecasting.manifests import write_text_atomically
from forecasting.tuning_record import TrialStage
from pipelines.run import STOP_GRACE_S
from pipelines.trial_process import TrialSpec

_ONE_CORE = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
_REFUSED_KINDS = ("ModelRefusedError", "ConfigError", "DataError")
"""Errors that are the fault of the settings: other trials need not have them."""


class TrialFailedError(AlmanacError):
    """The process of a trial ended without a result, through no fault of its settings that is known."""


class TrialRunner:
    """Runs trials as processes; `stop` ends all that run."""

    def __init__(self, folder: Path) -> None:
        """Keep what processes are told and what they print in a folder."""
        self._folder = folder
        for left in folder.glob("trial-*.json"):
            left.unlink()
        self._running: dict[int, subprocess.Popen[str]] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """End all trials that run, each behind a checkpoint; none begins any more."""
        self._stopping.set()
        with self._lock:
            processes = list(self._running.values())
        for process in processes:
            _end(process)

    def run(self, trial: optuna.Trial, spec: TrialSpec) -> float:
        """Run one trial to its end.

        Args:
            trial: Told of the epochs, and of the result.
            spec: What the process is told.

        Returns:
            The metric.

        Raises:
            optuna.TrialPruned: Its settings are worse than others, or are refused.
            StoppedError: `stop` was called.
            TrialFailedError: It failed otherwise.
        """
        path = self._folder / f"trial-{trial.number}.json"
        write_text_atomically(path, json.dumps(spec.document()))
        pruned, last = False, {}
        with (
            path.with_suffix(".log").open("a", encoding="utf-8") as log,
            self._process(trial.number, path, log) as process,
        ):
            n_epochs = 0
            for line in process.stdout or ():
                message: dict[str, Any] = json.loads(line)
                if "epoch" not in message:
                    last = message
                    continue
                n_epochs += 1
                trial.report(message["validation_loss"], n_epochs)
                if not pruned and stage_of(trial) is TrialStage.JOINT and trial.should_prune():
                    pruned = True
                    _end(process)
            code = process.wait()
            self._forget(trial.number)
        path.unlink()
        if "result" in last:
            return _result(trial, last["result"])
        if pruned:
            raise optuna.TrialPruned(f"after {n_epochs} epochs")
        raise self._error(trial, last, code)

    def _process(self, number: int, path: Path, log: TextIO) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "pipelines.trial_process", str(path)]
        with self._lock:
            if self.stopping:
                raise StoppedError("stopped before the trial began")
            # A session of its own: ^C reaches this process alone, which then ends the trials in order.
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **_ONE_CORE},
                start_new_session=True,
            )  # fmt: skip
            self._running[number] = process
        return process

    def _forget(self, number: int) -> None:
        with self._lock:
            del self._running[number]

    def _error(self, trial: optuna.Trial, last: Mapping[str, Any], code: int) -> Exception:
        if self.stopping or last.get("kind") == StoppedError.__name__:
            return StoppedError("the trial was stopped")
        said = (
            last.get("error")
            or f"its process ended with exit code {code}; {self._folder / f'trial-{trial.number}.log'} may say why"
        )
        if last.get("kind") in _REFUSED_KINDS:
            trial.set_user_attr(REFUSED, said)
            return optuna.TrialPruned(said)
        trial.set_user_attr(ERROR, said)
        return TrialFailedError(said)


def _result(trial: optuna.Trial, result: Mapping[str, Any]) -> float:
    trial.set_user_attr(RESULT, json.dumps({"folds": result["folds"], "n_parameters": result["n_parameters"]}))
    return float(result["value"])


def _end(process: "subprocess.Popen[str]") -> None:
    """SIGTERM, and SIGKILL where that does not help."""
    process.send_signal(signal.SIGTERM)
    killer = threading.Timer(STOP_GRACE_S, process.kill)
    killer.daemon = True
    killer.start()
