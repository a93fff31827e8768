"""`almanac models list|show|approve|reject|promote|rollback`."""

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from forecasting.audit import AuditAction
from forecasting.command_word import command_word
from forecasting.contracts.layout import home_layout
from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import ConfigError, ModelRefusedError
from forecasting.formats import as_time
from forecasting.repository import APPROVAL_KEY, REJECTED_KEY, ModelRepository
from forecasting.roles import RolesRecord
from pipelines.records import moment, table


def list_models(arguments: argparse.Namespace) -> int:
    """One line a model."""
    repository = ModelRepository(home_layout().models)
    names = repository.names()
    if arguments.json:
        documents = [
            {"model": name, "versions": repository.versions(name), **_roles(repository, name)} for name in names
        ]
        print(json.dumps(documents, indent=1))
    elif not names:
        print(f"no models in {repository.root}; {command_word()} run -c FILE makes one", file=sys.stderr)
    else:
        rows = [["MODEL", *(role.value.upper() for role in ModelRole), "VERSIONS"]]
        for name in names:
            roles = [str(version or "") for version in _roles(repository, name).values()]
            rows.append([name, *roles, str(len(repository.versions(name)))])
        print("\n".join(table(rows, right=frozenset({1, 2, 3, 4}))))
    return 0


def show(arguments: argparse.Namespace) -> int:
    """One line a version, newest first, with what is remembered of it; with --audit one line a change of roles."""
    repository = open_repository(arguments.model)
    if arguments.audit:
        return _show_audit(repository, arguments.model, as_json=arguments.json)
    versions = sorted(repository.versions(arguments.model), reverse=True)
    documents = [_version(repository, arguments.model, version) for version in versions]
    if arguments.json:
        print(json.dumps(documents, indent=1))
        return 0
    rows = [["VERSION", "ROLE", "RUN", "VARIANT", "WAITS FOR APPROVAL", "PATH"]]
    for found in documents:
        record = found["record"]
        remembered = [str(record.get(key, "")) for key in ("run", "variant")]
        rows.append(
            [str(found["version"]), found["role"] or "", *remembered, found["waits_for_approval"], found["path"]]
        )
    print("\n".join(table(rows, right=frozenset({0}))))
    return 0


def _show_audit(repository: ModelRepository, model: str, *, as_json: bool) -> int:
    records = repository.audit(model)
    if as_json:
        print(json.dumps([asdict(record) for record in records], indent=1))
        return 0
    rows = [["TIME", "WHO", "WHAT", "VERSION", "CHAMPION", "CANDIDATE", "PREVIOUS", "WHY"]]
    for record in records:
        held = [str(number or "") for number in (record.version, record.champion, record.candidate, record.previous)]
        rows.append([moment(record.time), record.who, record.action.value, *held, record.reason])
    print("\n".join(table(rows, right=frozenset({3, 4, 5, 6}))))
    return 0


def approve(arguments: argparse.Namespace) -> int:
    """Make the candidate that waits for approval champion."""
    repository, model = open_repository(arguments.model), arguments.model
    version = _waiting(repository, model, repository.roles(model), wanted=arguments.version)

    def check(roles: RolesRecord) -> None:
        _waiting(repository, model, roles, wanted=version)
        if objection := _cutoff_objection(repository, model, version, roles.champion):
            raise ModelRefusedError(
                f"version {version} of {model!r} was not approved: {objection}; "
                f"`{command_word()} models promote {model} {version} --force --reason WHY` does it"
            )

    repository.promote(model, version, reason=arguments.reason, action=AuditAction.APPROVE, check=check)
    return _tell(repository, arguments, f"version {version} of {model} is approved and champion")


def reject(arguments: argparse.Namespace) -> int:
    """Serve the candidate that waits for approval no more, and remember why."""
    repository, model, version = open_repository(arguments.model), arguments.model, arguments.version
    require_version(repository, model, version)
    if not arguments.reason:
        raise ConfigError("a rejection must come with --reason, which the audit log keeps")

    def check(roles: RolesRecord) -> None:
        _waiting(repository, model, roles, wanted=version, what="rejected")

    repository.reject(model, version, reason=arguments.reason, check=check)
    return _tell(repository, arguments, f"version {version} of {model} is rejected; the champion is untouched")


def _waiting(
    repository: ModelRepository, model: str, roles: RolesRecord, *, wanted: int | None, what: str = "approved"
) -> int:
    """The version that waits for approval.

    Raises:
        ConfigError: None does, or another than the wanted one.
    """
    candidate = roles.candidate
    waits = candidate is not None and bool(repository.record(model, candidate).get(APPROVAL_KEY))
    if candidate is not None and waits and wanted in (None, candidate):
        return candidate
    asked = "a version" if wanted is None else f"version {wanted}"
    found = f"version {candidate}" if waits else "no version"
    raise ConfigError(
        f"{asked} of {model!r} must wait for approval to be {what}, {found} does; `{command_word()} models show {model}` lists them"
    )


def promote(arguments: argparse.Namespace) -> int:
    """Make any version champion; what a gate left to a person, or a later cutoff forbids, needs --force and --reason."""
    repository, model, version = open_repository(arguments.model), arguments.model, arguments.version
    require_version(repository, model, version)
    if arguments.force and not arguments.reason:
        raise ConfigError("--force must come with --reason, which the audit log keeps")

    def check(roles: RolesRecord) -> None:
        if not arguments.force and (objection := _objection(repository, model, version, roles)):
            raise ModelRefusedError(
                f"version {version} of {model!r} was not promoted: {objection}; --force --reason WHY does it"
            )

    repository.promote(model, version, reason=arguments.reason, check=check)
    return _tell(repository, arguments, f"version {version} of {model} is champion")


def _objection(repository: ModelRepository, model: str, version: int, roles: RolesRecord) -> str:
    """Why a version may not be promoted just like that; empty where it may."""
    if version == roles.champion:
        return ""
    record = repository.record(model, version)
    if rejected := record.get(REJECTED_KEY):
        return f"it was rejected ({rejected})"
    if waits := record.get(APPROVAL_KEY):
        if version == roles.candidate:
            return f"it waits for approval ({waits}); `{command_word()} models approve {model}` gives it"
        return f"nobody approved it ({waits}) before another version took its place"
    return _cutoff_objection(repository, model, version, roles.champion)


def _cutoff_objection(repository: ModelRepository, model: str, version: int, champion: int | None) -> str:
    if champion is None or champion == version:
        return ""
    ours, theirs = (repository.record(model, number).get("cutoff") for number in (version, champion))
    if ours is not None and theirs is not None and ours < theirs:
        return f"its cutoff, {as_time(ours)}, lies before that of the champion, {as_time(theirs)}"
    return ""


def rollback(arguments: argparse.Namespace) -> int:
    """Make the previous version champion; servers follow within their poll interval, MLflow's aliases at once."""
    repository = open_repository(arguments.model)
    version = repository.rollback(arguments.model, reason=arguments.reason)
    return _tell(repository, arguments, f"version {version} of {arguments.model} is champion again")


def _tell(repository: ModelRepository, arguments: argparse.Namespace, sentence: str) -> int:
    problem = _move_aliases(arguments.model)
    if arguments.json:
        print(json.dumps({"model": arguments.model, **_roles(repository, arguments.model), "problem": problem}))
    else:
        print(sentence)
        if problem:
            again = f"the next run sets them, or `{command_word()} track upload`"
            print(f"MLflow's aliases are as they were: {problem}; {again}", file=sys.stderr)
    return 0


def _move_aliases(model: str) -> str:
    """Make MLflow say what the repository says; returns what went wrong, empty where nothing did."""
    # Imported here: who only asks has no use for it.
    from components.reporting.tracking.upload import set_aliases

    return set_aliases(home_layout(), model)


def open_repository(model: str) -> ModelRepository:
    """The repository of this home, which has a model.

    Raises:
        ConfigError: It has none of that name.
    """
    repository = ModelRepository(home_layout().models)
    if model not in repository.names():
        raise ConfigError(
            f"there is no model {model!r} in {repository.root}; `{command_word()} models list` names them"
        )
    return repository


def require_version(repository: ModelRepository, model: str, version: int) -> None:
    """Nothing where the version is there.

    Raises:
        ConfigError: It is not.
    """
    if version not in (versions := repository.versions(model)):
        raise ConfigError(f"model {model!r} must have version {version}, it has {', '.join(map(str, versions))}")


def _roles(repository: ModelRepository, model: str) -> dict[str, int | None]:
    return {role.value: repository.role(model, role) for role in ModelRole}


def _version(repository: ModelRepository, model: str, version: int) -> dict[str, Any]:
    roles = {held: role for role, held in _roles(repository, model).items() if held is not None}
    path = str(repository.version_dir(model, version))
    role, record = roles.get(version), repository.record(model, version)
    # The record keeps why, so that a version whose place another took cannot be promoted unseen; it waits no more.
    waits = str(record.get(APPROVAL_KEY, "")) if role == ModelRole.CANDIDATE.value else ""
    return {"version": version, "role": role, "waits_for_approval": waits, "path": path, "record": record}
