"""The spool: what a run puts there while its earlier bundle is being sent."""

from pathlib import Path

from components.reporting.tracking.bundle import BundleRecord, TrackedPartRecord
from components.reporting.tracking.spool import note_sent, put_bundle, spooled
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
