"""What the monitor shows, judged by promtool."""

import subprocess

import pytest
from prometheus_client import generate_latest

from tests.unit.serving.monitor.conftest import make_monitor, repository, store  # noqa: F401
from tests.unit.serving.monitor.watched import CUTOFF, answer, observe

pytestmark = pytest.mark.services


def test_promtool_accepts_the_page_of_the_monitor(store, make_monitor):  # noqa: F811
    answer(store, CUTOFF, 5)
    observe(store, CUTOFF, 4, 5)
    monitor = make_monitor()
    monitor.round()
    page = generate_latest(monitor.page.registry())
    found = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False)
    assert (found.returncode, found.stderr.decode()) == (0, "")
