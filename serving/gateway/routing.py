"""Which version answers a request: the champion, or what the request pins."""

from dataclasses import dataclass

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.request import ModelPin
from forecasting.contracts.vocabulary import ModelRole, served_name
from forecasting.roles import RolesRecord

PINS = (ModelRole.CHAMPION, ModelRole.CANDIDATE)
"""Roles that the model server has; `previous` must be rolled back to first."""


@dataclass(frozen=True)
class RouteSpec:
    """A version, its role, and the name under which the model server has it."""

    role: ModelRole
    version: int
    served_name: str


def parse_pin(value: str | int | None) -> ModelPin | None:
    """What `model` of a request says; digits are a version.

    Raises:
        AnswerError: 400: it names neither a served role nor a version.
    """
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    if isinstance(value, str):
        if value in PINS:
            return ModelRole(value)
        if value.isascii() and value.isdecimal() and 0 < len(value) < 19 and int(value):
            return int(value)
    raise AnswerError(400, f"'model' must be 'champion', 'candidate' or the number of a version, found {value!r}")


def role_route(model: str, role: ModelRole, roles: RolesRecord) -> RouteSpec | None:
    """The version in a served role; none where it has none."""
    version = roles.of(role)
    return None if version is None else RouteSpec(role, version, served_name(model, role))


def pinned_route(model: str, pin: ModelPin, roles: RolesRecord) -> RouteSpec:
    """The version that a request pins.

    Raises:
        AnswerError: 404: it is not served now.
    """
    served = [route for role in PINS if (route := role_route(model, role, roles)) is not None]
    for route in served:
        if pin in (route.role, route.version):
            return route
    what = f"version {pin}" if isinstance(pin, int) else f"a {pin.value}"
    found = " and ".join(f"version {route.version} as {route.role.value}" for route in served) or "nothing"
    raise AnswerError(404, f"'model' asks for {what} of {model!r}, which is not served; {found} is")
