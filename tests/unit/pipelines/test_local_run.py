"""What a worker reads of a run in a process of its own; the run stands in for the pipeline."""

from forecasting.contracts.layout import home_layout
from pipelines.worker.local_run import AskedRunSpec, LocalLauncher


def test_name_and_last_line_are_found_around_much_that_was_printed_and_the_name_stays(tmp_path, monkeypatch):
    (tmp_path / "talkative_run.py").write_text(
        "import sys\n"
        "print('one warning', 'run tiny-1', sep='\\n', file=sys.stderr)\n"
        "sys.stderr.write('progress ä\\n' * 100_000 + 'almanac: the end\\n')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    process = LocalLauncher(home_layout(tmp_path / "home"), "talkative_run").start(
        AskedRunSpec("retrain 1 0", "2026-01-01T00:00:00+00:00", ("-c", "config.yaml"))
    )
    try:
        assert process.process.wait(60) == 0
    finally:
        process.process.kill()
    assert (process.run, process.last_line) == ("tiny-1", "almanac: the end")
    process.errors.write_text("")
    assert (process.run, process.last_line) == ("tiny-1", "")
