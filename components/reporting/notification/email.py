"""A message as a plain e-mail by SMTP."""

import smtplib
import ssl
import time
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from components.reporting.notification.message import NotificationSpec
from forecasting.config.notify import EmailConfig
from forecasting.environment import ResolvedSetting, resolve_setting
from forecasting.errors import ConfigError, RemoteError

_BACKOFF_S = 0.5
_PERMANENT = (500, 600)
"""SMTP codes after which the same message will not be taken either."""


def send_email(receiver: EmailConfig, message: NotificationSpec) -> None:
    """Send a message to all recipients.

    Raises:
        ConfigError: A setting names a variable that is not set, or one of a login is not of ASCII characters.
        RemoteError: It was not taken, however often it was tried.
    """
    login = None
    if receiver.username is not None and receiver.password is not None:
        login = (
            _credential(receiver.username, setting="notify.emails.username"),
            _credential(receiver.password, setting="notify.emails.password"),
        )
    mail = _mail(receiver, message)
    for attempt in range(receiver.max_retries + 1):
        try:
            _send(receiver, mail, login)
        except (smtplib.SMTPException, OSError) as error:
            if attempt == receiver.max_retries or _is_permanent(error):
                raise RemoteError(_shown(error, login)) from error
            time.sleep(_BACKOFF_S * 2**attempt)
        else:
            return


def _credential(text: str, *, setting: str) -> ResolvedSetting:
    found = resolve_setting(text, setting=setting)
    if not found.value.isascii():
        raise ConfigError(
            f"{setting}, {found.name}, must be of ASCII characters, as a login by SMTP knows no others, and is not"
        )
    return found


def _mail(receiver: EmailConfig, message: NotificationSpec) -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = message.subject
    mail["From"] = resolve_setting(receiver.sender, setting="notify.emails.sender").value
    recipients = [resolve_setting(one, setting="notify.emails.recipients").value for one in receiver.recipients]
    mail["To"] = ", ".join(recipients)
    mail["Date"] = formatdate()
    mail["Message-ID"] = make_msgid(idstring="almanac", domain="almanac.invalid")
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    return mail


def _send(receiver: EmailConfig, mail: EmailMessage, login: tuple[ResolvedSetting, ResolvedSetting] | None) -> None:
    with _connect(receiver) as server:
        if receiver.security == "starttls":
            server.starttls(context=ssl.create_default_context())
        if login is not None:
            server.login(login[0].value, login[1].value)
        refused = server.send_message(mail)
    if refused:
        raise smtplib.SMTPRecipientsRefused(refused)


def _connect(receiver: EmailConfig) -> smtplib.SMTP:
    if receiver.security == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(receiver.host, receiver.port, timeout=receiver.timeout_s, context=context)
    return smtplib.SMTP(receiver.host, receiver.port, timeout=receiver.timeout_s)


def _is_permanent(error: Exception) -> bool:
    """Whether the server will never take it. A certificate that is not trusted stays so too."""
    code = getattr(error, "smtp_code", None)
    refused = isinstance(
        error, ssl.SSLCertVerificationError | smtplib.SMTPNotSupportedError | smtplib.SMTPRecipientsRefused
    )
    return refused or (isinstance(code, int) and _PERMANENT[0] <= code < _PERMANENT[1])


def _shown(error: Exception, login: tuple[ResolvedSetting, ResolvedSetting] | None) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    for setting in login or ():
        text = setting.scrubbed(text)
    return text
