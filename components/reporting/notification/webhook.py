"""A message as JSON by POST, signed where there is a key.

X-Almanac-Outcome    what became of the run
X-Almanac-Delivery   the same for every repeat of one message
X-Almanac-Timestamp  UTC epoch seconds of the attempt
X-Almanac-Signature  sha256=HEX of the HMAC of `timestamp.body` with the key
"""

import hashlib
import hmac
import json
import time
from dataclasses import asdict

import urllib3

from components.reporting.notification.message import NotificationSpec
from forecasting.config.notify import WebhookConfig
from forecasting.environment import ResolvedSetting, resolve_setting
from forecasting.errors import RemoteError
from forecasting.manifests import digest_text

SIGNATURE_HEADER = "X-Almanac-Signature"
TIMESTAMP_HEADER = "X-Almanac-Timestamp"
_PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Answers after which the same request may succeed."""
_BACKOFF_S = 0.5
_SHORTEST_PATH = 2


def post_webhook(receiver: WebhookConfig, message: NotificationSpec) -> None:
    """Send a message.

    Raises:
        ConfigError: The address or the key names a variable that is not set.
        RemoteError: It was not taken, however often it was tried.
    """
    address = resolve_setting(receiver.url, setting="notify.webhooks.url")
    body = json.dumps(asdict(message)).encode("utf-8")
    with urllib3.PoolManager(timeout=urllib3.Timeout(receiver.timeout_s)) as pool:
        for attempt in range(receiver.max_retries + 1):
            try:
                # Tried again here, as the library logs the whole address whenever it does so.
                answer = pool.request(
                    "POST", address.value, body=body, headers=_headers(receiver, message, body), retries=False,
                    redirect=False, preload_content=False,
                )  # fmt: skip
                answer.close()
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                if attempt == receiver.max_retries or isinstance(error, ValueError):
                    raise RemoteError(_shown(error, address)) from error
            else:
                if 200 <= answer.status < 300:
                    return
                if attempt == receiver.max_retries or answer.status not in _PASSING:
                    raise RemoteError(f"it answered {answer.status} {answer.reason}")
            time.sleep(_BACKOFF_S * 2**attempt)


def _shown(error: Exception, address: ResolvedSetting) -> str:
    """Why it was not taken, without the path of the address: of many webhooks that is the secret."""
    text = address.scrubbed(" ".join(str(error).split()))
    try:
        path = urllib3.util.parse_url(address.value).request_uri
    except urllib3.exceptions.LocationParseError:
        # Of such an address nobody knows which part is the secret, and the library repeats all of it.
        return f"{address.name} must hold an address such as https://example.com/hook, and does not"
    return text if len(path) < _SHORTEST_PATH else text.replace(path, "…")


def _headers(receiver: WebhookConfig, message: NotificationSpec, body: bytes) -> dict[str, str]:
    stamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "almanac",
        "X-Almanac-Outcome": message.outcome.value,
        "X-Almanac-Delivery": digest_text(f"{message.run} {message.outcome}")[:32],
        TIMESTAMP_HEADER: stamp,
    }
    if receiver.secret is not None:
        key = resolve_setting(receiver.secret, setting="notify.webhooks.secret").value
        headers[SIGNATURE_HEADER] = "sha256=" + signature(key, stamp, body)
    return headers


def signature(key: str, stamp: str, body: bytes) -> str:
    """HMAC-SHA256 of `stamp.body`, hexadecimal; who receives compares in constant time."""
    return hmac.new(key.encode("utf-8"), stamp.encode("ascii") + b"." + body, hashlib.sha256).hexdigest()
