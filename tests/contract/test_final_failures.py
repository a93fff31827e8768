"""Kubeflow tries whatever failed: tasks that are no steps end at once where they have failed for good before."""

from pathlib import Path

import pytest

from components.reporting.component import record_refusal
from forecasting.cluster_runs import begin_cluster_run
from forecasting.config import load_config
from forecasting.task_attempts import NOTES_DIR
from tests.contract.engines import RUN, Engine, KubeflowLocally, make_place

NEVER = "is not tried again, it would fail in the same way"


def test_a_run_that_cannot_begin_is_tried_once_though_kubeflow_tries_three_times(
    engines: dict[str, Engine], tmp_path: Path
) -> None:
    place, engine = make_place(tmp_path / "place"), engines["kubeflow"]
    assert isinstance(engine, KubeflowLocally)
    done = engine.run(place, cutoff="yesterday")
    assert done.returncode == 1
    said = [line.strip() for line in done.stdout.splitlines() if "almanac: begin_run: " in line]
    assert [NEVER in line for line in said] == [False, True, True]
    assert all("yesterday" in line for line in said)
    assert not (place.layout.root / "calls").exists()
    assert not list((place.layout.root / NOTES_DIR).iterdir())


def test_a_refusal_that_cannot_be_recorded_ends_with_its_exit_code_and_is_tried_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = make_place(tmp_path / "place")

    def code() -> int:
        with pytest.raises(SystemExit) as ended:
            record_refusal.python_func(home=str(place.layout.root), run=RUN, gate="validate_data", retries=2)
        return int(str(ended.value.code))

    assert [code() for _ in range(4)] == [2, 2, 2, 2]
    said = [line for line in capsys.readouterr().err.splitlines() if "almanac: record_refusal validate_data: " in line]
    assert [NEVER in line for line in said] == [False, True, True, False]
    assert "there is no run" in said[0]


def test_a_refusal_that_has_to_wait_for_another_run_is_tried_again(tmp_path: Path) -> None:
    place = make_place(tmp_path / "place")
    config = load_config(place.config)
    begin_cluster_run(config, place.layout, RUN)
    (place.layout.runs / ".toy.claim").unlink()
    run = place.layout.run(RUN)
    run.record.write_text(run.record.read_text().replace('"finished": null', '"finished": 1.0'))
    begin_cluster_run(config, place.layout, "another")
    with pytest.raises(SystemExit) as ended:
        record_refusal.python_func(home=str(place.layout.root), run=RUN, gate="validate_data", retries=2)
    assert ended.value.code == 75
    assert not (place.layout.root / NOTES_DIR).exists()
