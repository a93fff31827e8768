"""What a worker asks for itself: a time of the schedule has come, or the target is known for long enough."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from components.validation.last_target import last_target
from forecasting.config import AlmanacConfig, step_settings
from forecasting.config.root import ValidateDataSettings
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import ModelRole
from forecasting.durations import duration_s
from forecasting.repository import ModelRepository
from forecasting.schedules import last_time
from forecasting.source_state import source_state
from forecasting.store.history import last_observed
from forecasting.store.opening import Store
from forecasting.store.retrain_asking import RequestSource, RetrainReasonSpec


def schedule_reason(config: AlmanacConfig, home: HomeLayout, *, now: int) -> RetrainReasonSpec | None:
    """The last time of the schedule, where no version was deployed since; it is asked for once, whoever asks."""
    settings = config.retraining
    if settings.schedule is None:
        return None
    due = last_time(settings.schedule, settings.time_zone, now=now)
    changes = ModelRepository(home.models).audit(config.name)
    if changes and changes[-1].time >= due:
        return None
    at = datetime.fromtimestamp(due, UTC).isoformat()
    return RetrainReasonSpec(
        model=config.name, source=RequestSource.SCHEDULE, reason=f"schedule {settings.schedule} at {at}",
        dedup_key=f"schedule:{at}",
    )  # fmt: skip


class NewDataWatch:
    """Looks from time to time how far the target is known, by the table and by observations."""

    def __init__(self, config: AlmanacConfig, home: HomeLayout, store: Store) -> None:
        """Nothing was looked at yet."""
        self._config, self._home, self._store = config, home, store
        self._looked: int | None = None
        self._state: dict[str, str] | None = None
        self._table_last: int | None = None

    def reason(self, *, now: int) -> RetrainReasonSpec | None:
        """A reason where the target is known for `retraining.new_data` after the cutoff of the champion.

        Args:
            now: Epoch seconds.

        Raises:
            DataError: The table cannot be read.
            RetryableError: The store cannot be used now.
        """
        settings = self._config.retraining
        if settings.new_data is None or (
            # A look that lies ahead was at a clock that has been set back since.
            self._looked is not None and 0 <= now - self._looked < duration_s(settings.look_interval)
        ):
            return None
        self._looked = now
        repository, name = ModelRepository(self._home.models), self._config.name
        champion = repository.role(name, ModelRole.CHAMPION)
        if champion is None:
            return None
        cutoff, known = int(repository.record(name, champion).get("cutoff", 0)), self._known_until(now)
        if known is None or known - cutoff < duration_s(settings.new_data):
            return None
        until = datetime.fromtimestamp(known, UTC).isoformat()
        reason = f"the target is known until {until}, {settings.new_data} after the champion's cutoff"
        return RetrainReasonSpec(model=name, source=RequestSource.NEW_DATA, reason=reason, dedup_key="new_data")

    def _known_until(self, now: int) -> int | None:
        """End of the last step with a target; none where nothing is known."""
        step_s = duration_s(self._config.data.frequency)
        found = [self._last_of_table(now)]
        if self._config.retraining.observations != "ignore":
            found.append(last_observed(self._store, self._config.name, self._config.data.target, before=now + step_s))
        known = [one for one in found if one is not None]
        return max(known) + step_s if known else None

    def _last_of_table(self, now: int) -> int | None:
        state = source_state(self._config.data, self._home, created=float(now))
        if state != self._state:
            settings = cast(ValidateDataSettings, step_settings(self._config, StepName.VALIDATE_DATA))
            with tempfile.TemporaryDirectory(prefix="almanac-") as scratch:
                self._table_last = last_target(settings, self._home, Path(scratch))
            self._state = state
        return self._table_last
