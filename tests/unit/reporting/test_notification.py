"""Notifications of every outcome, to real receivers on this machine, and to receivers that are down."""

import hashlib
import hmac
import json
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
from pydantic import ValidationError

from components.reporting.evidence import gather_evidence
from components.reporting.notification.message import NotificationSpec, message_of
from components.reporting.notification.notify import notify
from components.reporting.report_run import report_run
from forecasting.config.loading import parse_config
from forecasting.config.notify import EmailConfig, NotifyConfig, RunOutcome, WebhookConfig
from forecasting.config.root import ReportRunSettings, step_settings
from forecasting.config.sections import ForecastConfig
from forecasting.config.table import DataConfig
from forecasting.config.tracking import TrackingConfig
from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.steps import StepContext
from pipelines.initial.opening import PLACEHOLDER_GATES
from tests.unit.reporting.receivers import free_port, smtp_server, webhook_receiver
from tests.unit.reporting.runs import add_evaluation, add_training, add_validation, begin_run, fail_step, whole_run

SECRET = "a key nobody else has"


def _refused_data(root: Path) -> RunLayout:
    run = begin_run(root)
    add_validation(run, problem="17 steps are missing")
    return run


def _refused_model(root: Path) -> RunLayout:
    run = begin_run(root)
    add_validation(run)
    add_training(run)
    add_evaluation(run, offset=2.0)
    return run


def _failed(root: Path, status: RunStatus = RunStatus.FAILED) -> RunLayout:
    run = begin_run(root)
    add_validation(run)
    fail_step(run, StepName.BUILD_FEATURES, status=status)
    return run


OUTCOMES = {
    RunOutcome.PROMOTED: whole_run,
    RunOutcome.WAITS_FOR_APPROVAL: lambda root: whole_run(root, approval="deploy.approval is manual"),
    RunOutcome.DATA_REFUSED: _refused_data,
    RunOutcome.MODEL_REFUSED: _refused_model,
    RunOutcome.FAILED: _failed,
    RunOutcome.STOPPED: lambda root: _failed(root, RunStatus.STOPPED),
}


def _message(run: RunLayout) -> NotificationSpec:
    return message_of(gather_evidence(run), run)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_reaches_a_webhook_with_the_words_of_the_report(outcome: RunOutcome, tmp_path: Path) -> None:
    message = _message(OUTCOMES[outcome](tmp_path))
    with webhook_receiver() as (address, posts):
        (record,) = notify(NotifyConfig(webhooks=(WebhookConfig(url=address),)), message)
    assert record.problem == ""
    (post,) = posts
    told = json.loads(post.body)
    assert (told["outcome"], told["run"], told["model"]) == (outcome.value, "run-1", "demand")
    assert post.headers["X-Almanac-Outcome"] == outcome.value
    assert told["sentence"] == message.sentence
    assert "X-Almanac-Signature" not in post.headers
    assert (told["version"] == 7) == (outcome in (RunOutcome.PROMOTED, RunOutcome.WAITS_FOR_APPROVAL))


def test_a_webhook_is_signed_so_that_its_receiver_can_tell_who_sent_what_and_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    with webhook_receiver() as (address, posts):
        notify(
            NotifyConfig(webhooks=(WebhookConfig(url=address, secret="${HOOK_SECRET}"),)), _message(_failed(tmp_path))
        )
    (post,) = posts
    signed = post.headers["X-Almanac-Timestamp"].encode() + b"." + post.body
    expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert post.headers["X-Almanac-Signature"] == f"sha256={expected}"


def test_a_webhook_that_fails_is_tried_again_as_often_as_is_said_and_no_more(tmp_path: Path) -> None:
    message = _message(_failed(tmp_path))
    with webhook_receiver((503, 204)) as (address, posts):
        (record,) = notify(NotifyConfig(webhooks=(WebhookConfig(url=address, max_retries=1),)), message)
        assert (record.problem, len(posts)) == ("", 2)
    assert len({post.headers["X-Almanac-Delivery"] for post in posts}) == 1
    with webhook_receiver((503,)) as (address, posts):
        (record,) = notify(NotifyConfig(webhooks=(WebhookConfig(url=address, max_retries=1),)), message)
        assert (record.problem, len(posts)) == ("it answered 503 Service Unavailable", 2)
    with webhook_receiver((404,)) as (address, posts):
        (record,) = notify(NotifyConfig(webhooks=(WebhookConfig(url=address, max_retries=5),)), message)
        assert (record.problem, len(posts)) == ("it answered 404 Not Found", 1)


def test_who_wants_to_hear_of_failures_only_hears_of_nothing_else(tmp_path: Path) -> None:
    with webhook_receiver() as (address, posts):
        settings = NotifyConfig(webhooks=(WebhookConfig(url=address, on=("failed",)),))
        assert notify(settings, _message(whole_run(tmp_path / "promoted"))) == ()
        assert len(notify(settings, _message(_failed(tmp_path / "failed")))) == 1
    assert len(posts) == 1


def _email(port: int, **values: object) -> EmailConfig:
    settings = {"username": "almanac", "password": "${MAIL_PASSWORD}", "max_retries": 0, **values}
    return EmailConfig(
        host="localhost", port=port, sender="almanac@example.com", recipients=("team@example.com",), **settings
    )


def test_every_outcome_reaches_a_mailbox_encrypted_and_logged_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", SECRET)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    with smtp_server(tmp_path, password=SECRET) as (port, mailbox):
        for outcome, make in OUTCOMES.items():
            (record,) = notify(NotifyConfig(emails=(_email(port),)), _message(make(tmp_path / outcome.value)))
            assert record.problem == ""
    assert mailbox.logins == [(b"almanac", SECRET.encode())] * len(OUTCOMES)
    assert [encrypted for encrypted, _ in mailbox.mails] == [True] * len(OUTCOMES)
    mails = [message_from_bytes(envelope.content, policy=default) for _, envelope in mailbox.mails]
    assert mails[0]["Subject"].strip() == "[demand] promoted: Version 7 passed every gate and is the champion now."
    assert {(mail["From"], mail["To"]) for mail in mails} == {("almanac@example.com", "team@example.com")}
    assert all("Run: run-1" in mail.get_content() for mail in mails)
    assert "- 17 steps are missing" in mails[2].get_content()


def test_a_wrong_password_and_a_certificate_that_nobody_signed_are_said_without_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", SECRET)
    message = _message(_failed(tmp_path))
    with smtp_server(tmp_path, password="another") as (port, mailbox):
        (distrusted,) = notify(NotifyConfig(emails=(_email(port),)), message)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        (refused,) = notify(NotifyConfig(emails=(_email(port, max_retries=3),)), message)
    assert "CERTIFICATE_VERIFY_FAILED" in distrusted.problem
    assert "535" in refused.problem
    assert SECRET not in refused.problem + distrusted.problem
    # One attempt, which offers the password in two ways.
    assert len(mailbox.logins) == 2
    assert mailbox.mails == []


def test_a_receiver_that_is_down_fails_no_run_and_the_run_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:{free_port()}/{SECRET.replace(' ', '-')}")
    monkeypatch.setenv("MAIL_PASSWORD", SECRET)
    run = _refused_data(tmp_path)
    output = run.step(StepName.REPORT_RUN)
    output.mkdir()
    settings = ReportRunSettings(
        name="demand",
        data=DataConfig(),
        forecast=ForecastConfig(),
        tracking=TrackingConfig(uri="${NO_TRACKER}"),
        notify=NotifyConfig(webhooks=(WebhookConfig(url="${HOOK}", max_retries=0),), emails=(_email(free_port()),)),
    )
    outcome = report_run(settings, {}, output, StepContext(HomeLayout(tmp_path), run))
    assert outcome.passed
    assert "webhook ${HOOK} was not told: " in outcome.summary
    assert "e-mail team@example.com by localhost:" in outcome.summary
    told = json.loads((output / "notifications.json").read_text())["receivers"]
    assert [record["kind"] for record in told] == ["webhook", "e-mail"]
    assert all("refused" in record["problem"] for record in told)
    written = "".join(path.read_text(errors="ignore") for path in tmp_path.rglob("*") if path.is_file())
    assert SECRET not in written
    assert SECRET.replace(" ", "-") not in written + outcome.summary


def test_a_variable_that_is_not_set_is_said_where_its_message_was_due(tmp_path: Path) -> None:
    (record,) = notify(NotifyConfig(webhooks=(WebhookConfig(url="${NO_HOOK}"),)), _message(_failed(tmp_path)))
    assert record.problem == "notify.webhooks.url names the environment variable NO_HOOK, which must be set, and is not"


def test_an_attempt_that_is_repeated_logs_no_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:{free_port()}/services/a-key-nobody-else-has")
    settings = NotifyConfig(webhooks=(WebhookConfig(url="${HOOK}", max_retries=1),))
    (record,) = notify(settings, _message(_failed(tmp_path)))
    assert "refused" in record.problem
    assert "webhook ${HOOK} was not told" in caplog.text
    assert "a-key-nobody-else-has" not in caplog.text
    with webhook_receiver((503, 503, 204)) as (address, posts):
        monkeypatch.setenv("HOOK", f"{address}/services/a-key-nobody-else-has")
        notify(settings, _message(_failed(tmp_path / "answered")))
    assert len(posts) == 2
    assert "a-key-nobody-else-has" not in caplog.text


def test_a_password_that_no_login_can_send_is_said_without_it_before_anybody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", "schl\u00e4gel")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    with smtp_server(tmp_path, password=SECRET) as (port, mailbox):
        (record,) = notify(NotifyConfig(emails=(_email(port),)), _message(_failed(tmp_path)))
    assert record.problem == (
        "notify.emails.password, ${MAIL_PASSWORD}, must be of ASCII characters, as a login by SMTP knows no others, and is not"
    )
    assert mailbox.logins == []


def test_a_receiver_whose_variable_fits_no_header_does_not_end_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", SECRET)
    monkeypatch.setenv("TEAM", "team@example.com\nBcc: spy@example.com")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    with smtp_server(tmp_path, password=SECRET) as (port, mailbox):
        wrong = _email(port).model_copy(update={"recipients": ("${TEAM}",)})
        first, second = notify(NotifyConfig(emails=(wrong, _email(port))), _message(_failed(tmp_path)))
    assert (
        first.problem
        == "its settings, and what their variables hold, must be such that it can be written to (ValueError)"
    )
    assert (second.problem, len(mailbox.mails)) == ("", 1)
    assert "spy" not in caplog.text + first.sentence


@pytest.mark.parametrize(
    "address",
    ["https://hooks.example.com:abc/services/a-key-nobody-else-has", "https://[::1/services/a-key-nobody-else-has"],
)
def test_an_address_that_is_none_is_said_without_it_and_the_next_receiver_is_told(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HOOK", address)
    with webhook_receiver() as (listens, posts):
        settings = NotifyConfig(webhooks=(WebhookConfig(url="${HOOK}"), WebhookConfig(url=listens)))
        wrong, right = notify(settings, _message(_failed(tmp_path)))
    assert wrong.problem == "${HOOK} must hold an address such as https://example.com/hook, and does not"
    assert (right.problem, len(posts)) == ("", 1)
    assert "a-key-nobody-else-has" not in caplog.text + wrong.sentence


@pytest.mark.parametrize(
    ("kind", "values", "why"),
    [
        (WebhookConfig, {"url": "https://a.example", "secret": "written down"}, "name of an environment variable"),
        (WebhookConfig, {"url": "https://me:word@a.example"}, "must not hold a password"),
        (WebhookConfig, {"url": "ftp://a.example"}, "must begin with https://"),
        (EmailConfig, {"host": "a", "sender": "a@b", "recipients": ["c@d"], "username": "a", "password": "b"}, "name of"),
        (EmailConfig, {"host": "a", "sender": "a@b", "recipients": ["c@d"], "username": "a"}, "must be set together"),
        (EmailConfig, {"host": "a", "sender": "nobody", "recipients": ["c@d"]}, "must be an address"),
        (
            EmailConfig,
            {
                "host": "a", "sender": "a@b", "recipients": ["c@d"], "username": "a", "password": "${B}", "security": "none",
            },
            "must not travel unencrypted",
        ),
    ],
)  # fmt: skip
def test_settings_that_would_leak_or_reach_nobody_are_refused(kind: type, values: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        kind.model_validate(values)


def test_what_a_pipeline_is_compiled_from_has_the_names_of_secrets_and_not_the_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HOOK", "HOOK_SECRET", "MAIL_PASSWORD", "TRACKER_PASSWORD"):
        monkeypatch.setenv(name, SECRET)
    document = {
        "gates": PLACEHOLDER_GATES, "compression": {"max_accuracy_loss": 0.02},
        "tracking": {"uri": "postgresql://almanac:${TRACKER_PASSWORD}@db/mlflow"},
        "notify": {
            "webhooks": [{"url": "${HOOK}", "secret": "${HOOK_SECRET}"}],
            "emails": [
                {
                    "host": "mail.example.com", "sender": "a@b.example", "recipients": ["c@d.example"],
                    "username": "almanac", "password": "${MAIL_PASSWORD}",
                }
            ],
        },
    }  # fmt: skip
    settings = step_settings(parse_config(document, "here"), StepName.REPORT_RUN).model_dump_json()
    assert SECRET not in settings
    assert all(f"${{{name}}}" in settings for name in ("HOOK", "HOOK_SECRET", "MAIL_PASSWORD", "TRACKER_PASSWORD"))
