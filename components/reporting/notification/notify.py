"""Tell every receiver that wants to know; none of them can fail a run."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from components.reporting.notification.email import send_email
from components.reporting.notification.message import NotificationSpec
from components.reporting.notification.webhook import post_webhook
from forecasting.config.notify import NotifyConfig, ReceiverConfig
from forecasting.errors import AlmanacError

logger = logging.getLogger(__name__)

_UNUSABLE = "its settings, and what their variables hold, must be such that it can be written to"


@dataclass(frozen=True)
class NotificationRecord:
    """What came of one message. receiver: as it is written in the configuration. problem: empty where it was taken."""

    kind: str
    receiver: str
    problem: str = ""

    @property
    def sentence(self) -> str:
        """What to say of a message that was not taken."""
        return f"{self.kind} {self.receiver} was not told: {self.problem}"


def notify(settings: NotifyConfig, message: NotificationSpec) -> tuple[NotificationRecord, ...]:
    """Send a message to everybody who is told of its outcome; what goes wrong is in the records."""
    return tuple(
        _tell(kind, name, send)
        for kind, name, receiver, send in _receivers(settings, message)
        if message.outcome in receiver.on
    )


def _receivers(
    settings: NotifyConfig, message: NotificationSpec
) -> Iterator[tuple[str, str, ReceiverConfig, Callable[[], None]]]:
    for hook in settings.webhooks:
        yield "webhook", hook.url, hook, partial(post_webhook, hook, message)
    for mail in settings.emails:
        yield (
            "e-mail",
            f"{', '.join(mail.recipients)} by {mail.host}:{mail.port}",
            mail,
            partial(send_email, mail, message),
        )


def _tell(kind: str, name: str, send: Callable[[], None]) -> NotificationRecord:
    try:
        send()
    except AlmanacError as error:
        record = NotificationRecord(kind, name, str(error))
    except ValueError as error:
        # A library refuses a value; its words may repeat what a variable holds.
        record = NotificationRecord(kind, name, f"{_UNUSABLE} ({type(error).__name__})")
    else:
        logger.info("%s %s was told", kind, name)
        return NotificationRecord(kind, name)
    logger.warning("%s", record.sentence)
    return record
