"""The section `notify`: who hears what became of a run."""

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from forecasting.config.section import Section
from forecasting.config.source import check_no_password
from forecasting.config.values import Distinct

_VARIABLE = re.compile(r"\$\{\w+\}")
_ADDRESS = re.compile(r"[^@\s<>,]+@[^@\s<>,]+")


class RunOutcome(StrEnum):
    """What became of a run, for those who are told."""

    PROMOTED = "promoted"
    UNCHANGED = "unchanged"
    WAITS_FOR_APPROVAL = "waits_for_approval"
    DATA_REFUSED = "data_refused"
    MODEL_REFUSED = "model_refused"
    FAILED = "failed"
    STOPPED = "stopped"
    ENDED_EARLY = "ended_early"


class ReceiverConfig(Section):
    """What every receiver has."""

    on: Annotated[tuple[RunOutcome, ...], Distinct] = Field(
        tuple(RunOutcome), description="Outcomes that it is told of; all by default."
    )
    timeout_s: float = Field(10.0, gt=0, description="Seconds until an attempt counts as failed.")
    max_retries: int = Field(2, ge=0, le=10, description="How often a failed attempt is repeated.")


class WebhookConfig(ReceiverConfig):
    """A JSON document by POST."""

    url: str = Field(description="Address; write ${NAME} for one that is a secret itself.")
    secret: str | None = Field(
        None, description="${NAME} of the key with which the document is signed (HMAC-SHA256); none: it is not signed."
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if not url.startswith(("http://", "https://", "${")):
            raise ValueError("must begin with https://, http:// or ${")
        check_no_password(url)
        return url

    @field_validator("secret")
    @classmethod
    def _check_secret(cls, secret: str | None) -> str | None:
        return _require_variable(secret)


class EmailConfig(ReceiverConfig):
    """A plain e-mail by SMTP."""

    host: str = Field(min_length=1, description="SMTP server.")
    port: int = Field(587, gt=0, le=65535, description="Its port.")
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="starttls: encrypted once connected; tls: from the first byte; none: not at all."
    )
    username: str | None = Field(None, description="Who logs in; none: nobody.")
    password: str | None = Field(None, description="${NAME} of the password.")
    sender: str = Field(description="Address of the sender.")
    recipients: Annotated[tuple[str, ...], Distinct, Field(min_length=1)] = Field(description="Addresses.")

    @field_validator("password")
    @classmethod
    def _check_password(cls, password: str | None) -> str | None:
        return _require_variable(password)

    @field_validator("sender", "recipients")
    @classmethod
    def _check_addresses(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for address in (value,) if isinstance(value, str) else value:
            if not (_ADDRESS.fullmatch(address) or _VARIABLE.fullmatch(address)):
                raise ValueError(f"must be an address such as team@example.com, found {address!r}")
        return value

    @model_validator(mode="after")
    def _check_login(self) -> "EmailConfig":
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password must be set together, or neither")
        if self.password is not None and self.security == "none":
            raise ValueError("a password must not travel unencrypted; set security to starttls or tls")
        return self


class NotifyConfig(Section):
    """Who hears what became of a run. A receiver that is down never fails a run, which says so."""

    webhooks: tuple[WebhookConfig, ...] = Field((), description="Receivers of a JSON document.")
    emails: tuple[EmailConfig, ...] = Field((), description="Receivers of e-mail.")


def _require_variable(secret: str | None) -> str | None:
    if secret is not None and not _VARIABLE.fullmatch(secret):
        # pydantic would show what was found; a secret that was written down is not repeated.
        raise ValueError(
            "must be the name of an environment variable, such as ${WEBHOOK_SECRET}, as configurations are copied into "
            "runs and pipelines"
        )
    return secret
