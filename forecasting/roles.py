"""Roles of the versions of a model: which is champion, candidate and previous."""

from dataclasses import dataclass, replace

from forecasting.contracts.vocabulary import ModelRole


@dataclass(frozen=True)
class RolesRecord:
    """Contents of `roles.json`. `last_version` is the highest ever used: numbers are never used again."""

    champion: int | None = None
    candidate: int | None = None
    previous: int | None = None
    last_version: int = 0

    def of(self, role: ModelRole) -> int | None:
        """The version in a role."""
        return {
            ModelRole.CHAMPION: self.champion,
            ModelRole.CANDIDATE: self.candidate,
            ModelRole.PREVIOUS: self.previous,
        }[role]


@dataclass(frozen=True)
class RolesChangeRecord:
    """One change of roles: what they were and what they became."""

    before: RolesRecord
    after: RolesRecord


def undone(roles: RolesRecord, change: RolesChangeRecord) -> RolesRecord:
    """Roles as they were before a change, each only where it is still what the change made it."""

    def back(role: ModelRole) -> int | None:
        was, made = change.before.of(role), change.after.of(role)
        return was if was != made and roles.of(role) == made else roles.of(role)

    return replace(
        roles,
        champion=back(ModelRole.CHAMPION),
        candidate=back(ModelRole.CANDIDATE),
        previous=back(ModelRole.PREVIOUS),
    )
