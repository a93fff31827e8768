"""The audit log: one line a change, whole after a crash."""

from pathlib import Path

import pytest

from forecasting.audit import AuditAction, AuditRecord, append_audit, current_actor, read_audit
from forecasting.errors import ArtifactError
from forecasting.repository import ModelRepository

RECORD = AuditRecord(1_700_000_000.0, "ada@desk", AuditAction.PROMOTE, 3, 3, None, 2, "why")


def test_records_come_back_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "m" / "audit.jsonl"
    other = AuditRecord(1_700_000_001.0, "bob@desk", AuditAction.ROLLBACK, 2, 2, None, 3)
    append_audit(path, RECORD)
    append_audit(path, other)
    assert read_audit(path) == (RECORD, other)


def test_there_is_nothing_where_no_log_is(tmp_path: Path) -> None:
    assert read_audit(tmp_path / "audit.jsonl") == ()


def test_line_that_a_crash_cut_off_is_left_out_and_the_next_one_stands_on_its_own(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    append_audit(path, RECORD)
    with path.open("a") as stream:
        stream.write('{"time": 17')
    assert read_audit(path) == (RECORD,)
    append_audit(path, RECORD)
    assert read_audit(path) == (RECORD, RECORD)


def test_line_that_is_no_record_is_an_error_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    append_audit(path, RECORD)
    path.write_text(path.read_text() + "{}\n")
    with pytest.raises(ArtifactError, match=r"audit\.jsonl line 2 must be a record of a change"):
        read_audit(path)


def test_who_acts_may_be_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALMANAC_ACTOR", "release-bot")
    assert current_actor() == "release-bot"
    monkeypatch.delenv("ALMANAC_ACTOR")
    assert "@" in current_actor()


def test_a_change_that_changes_nothing_leaves_no_line(tmp_path: Path) -> None:
    repository = ModelRepository(tmp_path)
    source = tmp_path / "source"
    source.mkdir()
    (source / "model.tflite").write_text("x")
    version = repository.publish("toy", source)
    repository.promote("toy", version, reason="first")
    repository.promote("toy", version, reason="again")
    assert [(record.action, record.reason) for record in repository.audit("toy")] == [("promote", "first")]
