"""The spool: what a run puts there while its earlier bundle is being sent."""

from pathlib import Path

from components.reporting.tracking.bundle import BundleRecord, TrackedPartRecord, VersionSpec
from components.reporting.tracking.removals import note_removals, note_removed, removals
from components.reporting.tracking.spool import (
    ask_aliases,
    note_aliases,
    note_sent,
    put_bundle,
    remember_registry,
    spooled,
    waiting_aliases,
)
from forecasting.config.tracking import TrackingConfig
from forecasting.contracts.layout import HomeLayout

PART = TrackedPartRecord("run", "run-1", "finished", 1.0, 2.0)
BUNDLE = BundleRecord("run-1", "demand", TrackingConfig(), PART, ())


def _put(home: HomeLayout, text: str) -> Path:
    return put_bundle(home, BUNDLE, lambda directory: _write(directory, text))


def _write(directory: Path, text: str) -> None:
    (directory / "text").write_text(text)


def test_a_bundle_put_while_the_earlier_one_of_its_run_is_sent_waits_on(tmp_path: Path) -> None:
    home = HomeLayout(tmp_path)
    _put(home, "first")
    (sent,) = spooled(home)
    directory = _put(home, "second")
    note_sent(home, sent, "mlflow", "")
    assert (directory / "text").read_text() == "second"
    (waits,) = spooled(home)
    assert waits.pending == {"mlflow": ""}
    note_sent(home, sent, "mlflow", "of the first")
    assert spooled(home) == [waits]

    note_sent(home, waits, "mlflow", "")
    assert spooled(home) == []
    assert list((tmp_path / "tracking" / "spool").iterdir()) == []


def test_aliases_asked_for_while_earlier_ones_are_set_wait_on(tmp_path: Path) -> None:
    home = HomeLayout(tmp_path)
    remember_registry(home, "demand", TrackingConfig())
    ask_aliases(home, "demand")
    sent = waiting_aliases(home)
    ask_aliases(home, "demand")
    remember_registry(home, "demand", TrackingConfig())
    note_aliases(home, "demand", "", asked=sent["demand"])
    assert waiting_aliases(home) == {"demand": 2}
    note_aliases(home, "demand", "", asked=2)
    assert waiting_aliases(home) == {}


def test_removals_added_while_earlier_ones_are_sent_wait_on(tmp_path: Path) -> None:
    home, tracking = HomeLayout(tmp_path), TrackingConfig()
    note_removals(home, "demand", tracking, runs=["run-1"], versions=[VersionSpec(1, "d")])
    sent = removals(home)["demand"]
    note_removals(home, "demand", tracking, runs=["run-2"], versions=[])
    note_removed(home, "demand", sent, "")
    waits = removals(home)["demand"]
    assert (waits.runs, waits.versions) == (("run-2",), ())
    note_removed(home, "demand", waits, "")
    assert removals(home) == {}
