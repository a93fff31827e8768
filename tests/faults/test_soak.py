"""What the soak calls a fault; `make soak` lets everything happen for half an hour."""

import copy
import subprocess
import sys
import time

import pytest

from tests.faults.soak import RECOVERY_S, Soak
from tests.integration.load_home import LoadHome, ServedLoad

GOOD = {
    "version": 1,
    "forecasts": [
        {"degraded": False, "reason": None, "point": [2.0, 3.0], "quantiles": {"0.1": [1.0, 2.0], "0.5": [2.0, 3.0]}}
    ],
}


@pytest.fixture
def soak(tmp_path):
    """A soak that has not begun."""
    with subprocess.Popen([sys.executable, "-c", "pass"], text=True) as process:
        yield Soak(LoadHome(tmp_path, tmp_path / "home"), ServedLoad(process, "", "", "http://127.0.0.1:1"))


def look(soak: Soak, *, status: int = 200, is_past: bool = True, **changes: object) -> list[str]:
    """What is found in a good answer with some fields changed."""
    document = copy.deepcopy(GOOD)
    document["forecasts"][0] |= changes
    soak._look_at(status, document, is_past=is_past, asked_s=time.monotonic())
    return soak.report.faults


def test_equal_answers_are_no_fault_and_are_counted(soak):
    assert look(soak) == []
    assert look(soak) == []
    assert (soak.report.n_answers, soak.report.n_degraded, dict(soak._versions)) == (2, 0, {"1": 2})


def test_another_number_of_the_same_version_for_the_same_past_is_a_fault(soak):
    look(soak)
    (fault,) = look(soak, point=[2.0, 3.1])
    assert "version 1 answered [2.0, 3.0] and then [2.0, 3.1]" in fault


def test_another_number_for_the_present_is_none(soak):
    look(soak)
    assert look(soak, point=[2.0, 3.1], is_past=False) == []


@pytest.mark.parametrize("upper", [[0.5, 3.0], [float("nan"), 3.0]])
def test_quantiles_that_cross_or_are_no_numbers_are_a_fault(soak, upper):
    (fault,) = look(soak, quantiles={"0.1": [1.0, 2.0], "0.5": upper})
    assert "finite and ascend" in fault


def test_an_error_is_a_fault(soak):
    (fault,) = look(soak, status=503)
    assert " 503: " in fault


def test_the_fallback_is_a_fault_unless_the_model_server_was_killed_before(soak):
    soak._killed_s = time.monotonic()
    assert look(soak, degraded=True, reason="the model server cannot be reached") == []
    soak._killed_s -= RECOVERY_S + 1
    (fault,) = look(soak, degraded=True, reason="the model server cannot be reached")
    assert "without a kill" in fault


def test_what_grows_is_a_fault(soak):
    soak.report.rss_mib["gateway"] = [100.0] * 10 + [180.0] * 10
    soak.report.n_files["gateway"] = [20] * 20
    soak._judge_growth()
    (fault,) = soak.report.faults
    assert "gateway grew by 80.0" in fault
