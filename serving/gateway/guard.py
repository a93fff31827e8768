"""Who is let in: tokens, a rate for each client, requests at the same time."""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import urlsplit

from forecasting.answering.answer_error import AnswerError
from forecasting.errors import ConfigError
from serving.gateway.page.files import PAGE_FILES
from serving.gateway.tokens import TokenScope, TokenSource, matching

MAX_BODY_BYTES = 64 * 2**20
"""Of one request, where nothing else is set."""
KEPT_CLIENTS = 10_000
"""Clients whose rate is remembered; beyond that the one that was silent longest is forgotten."""
WRONG_TOKENS = 5.0
"""Wrong tokens a second, of one address, that are answered as what they are."""
BODIES_AT_ONCE = 4
"""Largest bodies whose bytes may be in memory at the same time."""
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json", *PAGE_FILES})
"""Neither a token nor a limit: probes come from machines, and the document and the page's files hold no secret."""
OBSERVATIONS_PATH, ALERTS_PATH, RETRAIN_PATH = "/v1/observations", "/v1/alerts", "/v1/retrain"
_SCOPES = {OBSERVATIONS_PATH: TokenScope.WRITE, ALERTS_PATH: TokenScope.ALERT, RETRAIN_PATH: TokenScope.ADMIN}


def required_scope(path: str) -> TokenScope:
    """What a token must allow for a path."""
    return _SCOPES.get(path, TokenScope.READ)


def require_guarded(address: str, *, has_tokens: bool, is_open: bool) -> None:
    """Refuse to listen beyond this machine without tokens, unless that is said to be meant.

    Raises:
        ConfigError: The address is not a loopback one, and neither holds.
    """
    if has_tokens or is_open or is_loopback(address):
        return
    raise ConfigError(
        f"the gateway must have tokens to listen on {address}, which others can reach: `almanac tokens make NAME --file FILE` "
        "and gateway.tokens (--tokens FILE), or $ALMANAC_TOKENS; gateway.open: true (--open) listens without"
    )


def _hostname(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def is_loopback(address: str) -> bool:
    """Whether a name or an address is of this machine alone."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


class RateLimit:
    """A token bucket for each client: `rate` requests a second, and as many as come in one second at once."""

    def __init__(self, rate: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Every client starts with a full second's worth, one request at least."""
        self._rate, self._size, self._clock = rate, max(1.0, rate), clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, client: str) -> float:
        """Take one request of a client; seconds until there is one, 0 where there was."""
        now = self._clock()
        left, at = self._left.pop(client, (self._size, now))
        left = min(self._size, left + (now - at) * self._rate)
        self._left[client] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > KEPT_CLIENTS:
            self._left.popitem(last=False)
        return 0.0 if left >= 1 else (1 - left) / self._rate


def one_address(address: str) -> str:
    """The one spelling of an address: a socket for both families shows a client of IPv4 as `::ffff:10.0.0.1`. Any other text stays."""
    try:
        found = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    return str(found.ipv4_mapped or found)


class Guard:
    """Lets requests in or raises what they are answered with."""

    def __init__(
        self, tokens: TokenSource, *, rate: RateLimit | None, max_in_flight: int, is_local: bool = False,
        max_body_bytes: int = MAX_BODY_BYTES, wrong: RateLimit | None = None,
    ) -> None:  # fmt: skip
        """Nothing is in flight yet.

        Args:
            tokens: That let in.
            rate: Of each client.
            max_in_flight: Requests that are answered at the same time.
            is_local: Whether only programs of this machine are meant to ask.
            max_body_bytes: Of one request; all of them together may have `BODIES_AT_ONCE` times as many.
            wrong: Of wrong tokens of an address; none: `WRONG_TOKENS` a second.
        """
        self._tokens, self._rate, self._max_in_flight, self._is_local = tokens, rate, max_in_flight, is_local
        self._wrong = RateLimit(WRONG_TOKENS) if wrong is None else wrong
        self._max_bytes, self._n_bytes = BODIES_AT_ONCE * max_body_bytes, 0

    def take_bytes(self, n_bytes: int) -> None:
        """Count bytes of a body that came; whoever took them gives them back, also after an error.

        Raises:
            AnswerError: 429: all bodies together have too many. These were counted as well.
        """
        self._n_bytes += n_bytes
        if self._n_bytes > self._max_bytes:
            text = f"bodies of {self._max_bytes} bytes are being answered, as many as may be; send this one later"
            raise AnswerError(429, text, retry_after_s=1)

    def give_back_bytes(self, n_bytes: int) -> None:
        """A body was answered."""
        self._n_bytes -= n_bytes

    def admit_page(self, host: str | None, origin: str | None) -> None:
        """Refuse what a page of another site sends through a browser, where no token keeps it out.

        Args:
            host: The header Host, which names this machine unless another name was made to lead here.
            origin: The header Origin, which a browser sends with what a page writes.

        Raises:
            AnswerError: 403.
        """
        if not self._tokens.is_open:
            return
        if self._is_local and host is not None and not is_loopback(_hostname(f"//{host}")):
            raise AnswerError(403, f"without tokens the header Host must name this machine, such as localhost, found {host!r}")  # fmt: skip
        if origin is not None and origin.lower().partition("://")[2] != (host or "").lower():
            raise AnswerError(403, f"without tokens no page of another site may ask, found the Origin {origin!r}")

    def admit(self, authorization: str | None, address: str, scope: TokenScope, *, n_in_flight: int) -> str:
        """Let a request in; the name of its token, for the log, or "-" where none is asked for.

        Args:
            authorization: The header, none where there was none.
            address: Of the client.
            scope: What its token must allow.
            n_in_flight: Requests that are being answered, this one among them.

        Raises:
            AnswerError: 401, 403 or 429.
        """
        address = one_address(address)
        name = "-" if self._tokens.is_open else self._name(authorization, address, scope)
        wait_s = self._rate.wait_s(address if name == "-" else name) if self._rate is not None else 0.0
        if wait_s > 0:
            raise AnswerError(
                429, "too many requests a second; send the next one later", retry_after_s=math.ceil(wait_s)
            )
        if n_in_flight > self._max_in_flight:
            text = f"{self._max_in_flight} requests are being answered, as many as may be; send this one later"
            raise AnswerError(429, text, retry_after_s=1)
        return name

    def _name(self, authorization: str | None, address: str, scope: TokenScope) -> str:
        word, _, given = (authorization or "").partition(" ")
        if word.lower() != "bearer" or not given.strip():
            raise AnswerError(401, "the request must have the header 'Authorization: Bearer TOKEN'")
        token = matching(self._tokens.tokens(), given.strip())
        if token is None:
            # Only wrong ones: many clients may have one address, that of a proxy.
            if (wait_s := self._wrong.wait_s(address)) > 0:
                text = "too many wrong tokens a second from one address; send the next one later"
                raise AnswerError(429, text, retry_after_s=math.ceil(wait_s))
            raise AnswerError(401, "the token is none that this gateway knows")
        if not token.allows(scope):
            text = f"the token {token.name!r} must have the scope {scope.value!r}, it has {', '.join(sorted(token.scopes))}"
            raise AnswerError(403, text)
        return token.name
