"""The key of a step: all that can change its result. Equal keys, equal results; a stale hit is a defect."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from forecasting.code_closure import PROJECT_ROOT, code_digests
from forecasting.config.root import StepSettings, ValidateDataSettings
from forecasting.contracts import CONTRACT_VERSION
from forecasting.contracts.artifacts import DEPLOYMENT_FILE, ArtifactKind
from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import ModelRole, RunStatus
from forecasting.errors import AlmanacError, ArtifactError
from forecasting.manifests import digest_file, digest_text, payload_digests, verify, write_text_atomically
from forecasting.runs import STEP_RECORDS_DIR, StepRecord, list_runs, load_step
from forecasting.source_state import source_state

logger = logging.getLogger(__name__)

STEP_KINDS: dict[StepName, ArtifactKind] = {
    StepName.VALIDATE_DATA: ArtifactKind.SERIES,
    StepName.BUILD_FEATURES: ArtifactKind.FEATURES,
    StepName.TUNE_MODEL: ArtifactKind.TUNED_SETTINGS,
    StepName.TRAIN_MODEL: ArtifactKind.MODEL,
    StepName.EVALUATE_MODEL: ArtifactKind.EVALUATION,
    StepName.COMPRESS_MODEL: ArtifactKind.COMPRESSED,
    StepName.EVALUATE_COMPRESSED: ArtifactKind.COMPRESSED_EVALUATION,
    StepName.VALIDATE_SERVING: ArtifactKind.CANDIDATE,
    StepName.DEPLOY_MODEL: ArtifactKind.DEPLOYMENT,
    StepName.REPORT_RUN: ArtifactKind.RUN_REPORT,
}

NEVER_REUSED = frozenset({StepName.REPORT_RUN})
"""`report_run` tells of its own run."""

LOCK_FILE = "uv.lock"
_LEARNED_KEY = "learned from"


@dataclass(frozen=True)
class KeyRecord:
    """The parts of a step's key.

    parents: payload digest of each directory read. code: digest of each source file. lock: digest of
    the locked packages. external: state outside of the run that the step reads.
    """

    step: StepName
    settings: Mapping[str, Any]
    cutoff: str
    parents: Mapping[str, str]
    code: Mapping[str, str]
    lock: str
    external: Mapping[str, str]
    contract: int = CONTRACT_VERSION

    @property
    def digest(self) -> str:
        """The key itself."""
        return digest_text(json.dumps(asdict(self), sort_keys=True))


def step_key(
    step: StepName, settings: StepSettings, *, cutoff: str | None, parents: Mapping[StepName, str], home: HomeLayout,
    created: float | None,
) -> KeyRecord:  # fmt: skip
    """Key of a step as things are now.

    Args:
        step: The step.
        settings: Its settings.
        cutoff: Of the run; none: the end of the table.
        parents: Payload digest of each directory read.
        home: Where runs, models and examples are.
        created: When the run was begun, epoch seconds; a part of the key only where the result hangs on it.

    Raises:
        ConfigError: The source table has an address of no known kind.
        DataError: There is no source table.
    """
    external = _external_state(step, settings, parents, home, created)
    return KeyRecord(
        step=step,
        settings=settings.model_dump(mode="json"),
        cutoff=cutoff or "",
        parents={parent.value: digest for parent, digest in parents.items()},
        code=code_digests(step),
        lock=lock_digest(),
        external=external | _learned_state(settings, external, cutoff, home) | _moment(settings, cutoff, created),
    )


def is_outdated(key: KeyRecord, settings: StepSettings, *, home: HomeLayout, created: float | None) -> bool:
    """Whether the source is another than when the key was made: the result may be of either, and is no result of this key.

    Args:
        key: Of a step that has just read the source.
        settings: Of the step.
        home: Where examples are.
        created: When the run was begun, epoch seconds.
    """
    if not isinstance(settings, ValidateDataSettings):
        return False
    try:
        state = source_state(settings.data, home, created=created)
    except AlmanacError:
        return True
    before = {name: key.external.get(name, "") for name in state}
    # An example that the step made itself was known by its address.
    return any(before[name] not in (value, settings.data.uri) for name, value in state.items())


@lru_cache(maxsize=1)
def lock_digest() -> str:
    """Digest of the lock file; of the installed packages where there is no checkout."""
    lock = PROJECT_ROOT / LOCK_FILE
    if lock.is_file():
        return digest_file(lock)
    return digest_text("\n".join(sorted(f"{package.name}=={package.version}" for package in distributions())))


def find_finished(step: StepName, key: str, home: HomeLayout, model: str) -> tuple[RunLayout, StepRecord] | None:
    """The newest finished step of this home with a key, whose output is still what was written."""
    if step in NEVER_REUSED:
        return None
    for run in list_runs(home):
        try:
            record = load_step(run, step)
            if record is None or not (record.finished and record.reusable) or record.cache_key != key:
                continue
            verify(run.step(step), STEP_KINDS[step])
        except ArtifactError as error:
            logger.warning("%s of run %s is not reused: %s", step, run.name, error)
            continue
        if step == StepName.DEPLOY_MODEL and _deployed_version(run) != _champion_version(home, model):
            continue
        return run, record
    return None


def write_key(run: RunLayout, key: KeyRecord) -> None:
    """Keep the parts of a key, so that it can be said later what changed."""
    write_text_atomically(_key_path(run, key.step), json.dumps(asdict(key), indent=1, sort_keys=True))


def load_key(run: RunLayout, step: StepName) -> KeyRecord | None:
    """Parts of the key with which a step ran; none where it never began.

    Raises:
        ArtifactError: The file cannot be read.
    """
    path = _key_path(run, step)
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return KeyRecord(**{**document, "step": StepName(document["step"])})
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}") from error


def _key_path(run: RunLayout, step: StepName) -> Path:
    return run.root / STEP_RECORDS_DIR / f"{step.value}.key.json"


def _external_state(
    step: StepName, settings: StepSettings, parents: Mapping[StepName, str], home: HomeLayout, created: float | None
) -> dict[str, str]:
    if isinstance(settings, ValidateDataSettings):
        return source_state(settings.data, home, created=created) | _observed_state(settings, home)
    if step == StepName.EVALUATE_MODEL:
        return _champion_state(settings.name, parents[StepName.TRAIN_MODEL], home)
    return {}


def _observed_state(settings: ValidateDataSettings, home: HomeLayout) -> dict[str, str]:
    """What the store has of the model; nothing where nothing was observed, as without a store."""
    if settings.observations is None:
        return {}
    from forecasting.store.address import store_address
    from forecasting.store.observations import observation_revision
    from forecasting.store.opening import open_store

    address = store_address(settings.observations.url, home.serving_database)
    if address.file is not None and not address.file.is_file():
        return {}
    with open_store(address) as store:
        revision = observation_revision(store, settings.name)
    return {"observations": f"revision {revision} of {address.shown}"} if revision else {}


def _learned_state(
    settings: StepSettings, source: Mapping[str, str], cutoff: str | None, home: HomeLayout
) -> dict[str, str]:
    """The series that the champion was trained on, with which a new table is compared.

    Where the champion was trained on this very table, there is nothing new: what the table was compared with
    then still counts, so that an unchanged run is recognised as unchanged.
    """
    if not isinstance(settings, ValidateDataSettings):
        return {}
    version = _champion_version(home, settings.name)
    if version is None:
        return {_LEARNED_KEY: "none"}
    for run in list_runs(home):
        earlier = _key_behind(run, version, StepName.VALIDATE_DATA)
        if (
            earlier
            and earlier.settings == settings.model_dump(mode="json")
            and earlier.cutoff == (cutoff or "")
            and all(earlier.external.get(name) == value for name, value in source.items())
        ):
            return {_LEARNED_KEY: earlier.external.get(_LEARNED_KEY, "none")}
    from forecasting.repository import ModelRepository

    folder = ModelRepository(home.models).series_dir(settings.name, version)
    return {_LEARNED_KEY: "none" if folder is None else folder.name}


def _moment(settings: StepSettings, cutoff: str | None, created: float | None) -> dict[str, str]:
    """When the run was begun, where the age of the table is judged by it."""
    if not isinstance(settings, ValidateDataSettings) or not settings.validation.max_age or cutoff or created is None:
        return {}
    return {"run begun": datetime.fromtimestamp(created, UTC).isoformat(timespec="seconds")}


def _champion_state(model: str, trained: str, home: HomeLayout) -> dict[str, str]:
    """The champion that a trained model has to beat, and the forecasts that stand in for it where it cannot be asked.

    Where the champion is that very model, comparing it with itself would say nothing new: what it had
    to beat when it was judged still counts, so that an unchanged run is recognised as unchanged.
    """
    version = _champion_version(home, model)
    if version is None:
        return {"champion": "none"}
    for run in list_runs(home):
        judged = _key_behind(run, version, StepName.EVALUATE_MODEL)
        if judged and judged.settings.get("name") == model and judged.parents.get(StepName.TRAIN_MODEL) == trained:
            return dict(judged.external)
    from forecasting.backtest.stored import scores_digest
    from forecasting.repository import ModelRepository

    return {
        "champion": f"{version} {digest_text(json.dumps(payload_digests(home.models / model / str(version))))}",
        "champion's forecasts": scores_digest(home, ModelRepository(home.models).record(model, version)),
    }


def _key_behind(run: RunLayout, version: int, step: StepName) -> KeyRecord | None:
    """Key of a step of the run that deployed a version; none where the run did not."""
    try:
        deployed = load_step(run, StepName.DEPLOY_MODEL)
        if not deployed or deployed.status != RunStatus.SUCCEEDED or _deployed_version(run) != version:
            return None
        return load_key(run, step)
    except ArtifactError as error:
        logger.warning("run %s is passed over: %s", run.name, error)
        return None


def _champion_version(home: HomeLayout, model: str) -> int | None:
    if not (home.models / model).is_dir():
        return None
    from forecasting.repository import ModelRepository

    return ModelRepository(home.models).role(model, ModelRole.CHAMPION)


def _deployed_version(run: RunLayout) -> int | None:
    path = run.step(StepName.DEPLOY_MODEL) / DEPLOYMENT_FILE
    try:
        version = json.loads(path.read_text(encoding="utf-8"))["version"]
    except (OSError, json.JSONDecodeError, KeyError) as error:
        logger.warning("%s cannot be read: %s", path, error)
        return None
    return int(version)
