"""The tests of the store once more, on a real PostgreSQL server: its fixture `address` is all that differs."""

import pytest

from tests.unit.forecasting.store.test_actuals import *  # noqa: F403
from tests.unit.forecasting.store.test_backup import *  # noqa: F403
from tests.unit.forecasting.store.test_forecast_log import *  # noqa: F403
from tests.unit.forecasting.store.test_forecasts import *  # noqa: F403
from tests.unit.forecasting.store.test_live_scores import *  # noqa: F403
from tests.unit.forecasting.store.test_observation_changes import *  # noqa: F403
from tests.unit.forecasting.store.test_observations import *  # noqa: F403
from tests.unit.forecasting.store.test_opening import *  # noqa: F403
from tests.unit.forecasting.store.test_retention import *  # noqa: F403
from tests.unit.forecasting.store.test_retrain_requests import *  # noqa: F403

pytestmark = pytest.mark.services
