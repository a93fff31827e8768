"""What was observed of a version's series, in memory."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from forecasting.features.spec import ScalerSpec
from forecasting.schema import Series
from forecasting.store.address import store_address
from forecasting.store.observations import ObservationRows, write_observations
from forecasting.store.opening import Store, open_store
from forecasting.store.packing import GridSpec
from serving.gateway.forecast_request import ForecastRequest
from serving.gateway.observed import ObservedHistory, rows_over
from serving.gateway.plan import plan_forecasts
from serving.gateway.served_model import ServedModel
from tests.unit.serving.tiny_models import SPEC

HOUR = 3600
START = 1_388_534_400
CUTOFF = START + 10 * HOUR
GRID = GridSpec.of(HOUR, START)
NAN = float("nan")


def served(spec=SPEC, *, extra=0) -> ServedModel:
    values = np.column_stack([np.arange(10.0), np.full(10, 20.0), *(np.ones(10) for _ in range(extra))])
    values[3, 0] = NAN
    series = {one: Series(one, START, values) for one in ("a", "b")}
    return ServedModel("tiny", 1, CUTOFF, spec, series)


def cells(*values: tuple, model="tiny") -> ObservationRows:
    """Cells (series, column, step, number, known_at)."""
    series, names = (tuple(dict.fromkeys(one[place] for one in values)) for place in (0, 1))
    return ObservationRows(
        model=model, series=series, names=names,
        series_at=np.array([series.index(one[0]) for one in values]),
        name_at=np.array([names.index(one[1]) for one in values]),
        time=START + HOUR * np.array([one[2] for one in values]),
        number=np.array([one[3] for one in values], float),
        known_at=np.array([one[4] for one in values]),
    )  # fmt: skip


def told(rows, one: str) -> dict[int, dict[str, float]]:
    """By step, what a series has."""
    part = rows.places[one]
    steps = ((rows.given.time[part] - START) // HOUR).tolist()
    return {
        step: {name: column[part][i] for name, column in rows.given.columns.items() if np.isfinite(column[part][i])}
        for i, step in enumerate(steps)
    }


def test_rows_are_where_an_observation_changes_what_the_version_knows():
    rows = rows_over(
        served(),
        cells(
            ("b", "Demand", 12, 70, CUTOFF + 1),
            ("a", "Demand", 3, 33, 5),
            ("a", "Demand", 4, 44, 5),
            ("a", "Demand", 5, 55, CUTOFF + 1),
            ("a", "Demand", 6, 6, CUTOFF + 1),
            ("a", "Demand", 7, NAN, CUTOFF + 1),
            ("a", "Temperature", 5, 25, CUTOFF + 1),
        ),
    )
    assert told(rows, "a") == {3: {"Demand": 33}, 5: {"Demand": 55, "Temperature": 25}}
    assert told(rows, "b") == {12: {"Demand": 70}}


def test_a_value_that_was_seen_clears_the_mask_of_its_step():
    known = ("Temperature", "Temperature_imputed")
    masked = replace(SPEC, known=known, scaler=ScalerSpec(dict.fromkeys(known, 0.0), dict.fromkeys(known, 1.0)))
    rows = rows_over(
        served(masked, extra=1), cells(("a", "Temperature", 5, 25, CUTOFF + 1), ("a", "Demand", 6, 1, CUTOFF + 1))
    )
    assert told(rows, "a") == {5: {"Temperature": 25, "Temperature_imputed": 0}, 6: {"Demand": 1}}


def test_rows_of_some_series_are_taken_and_replaced():
    late = CUTOFF + 1
    rows = rows_over(
        served(), cells(("a", "Demand", 1, 9, late), ("b", "Demand", 2, 8, late), ("c", "Demand", 3, 7, late))
    )
    assert rows.take(("x",)) is None
    taken = rows.take(("c", "x", "a"))
    assert [taken.ids[i] for i in taken.series] == ["c", "a"]
    assert taken.columns["Demand"].tolist() == [7, 9]
    changed = rows.replaced(
        ("b", "c"), rows_over(served(), cells(("b", "Temperature", 5, 1, late), ("b", "Demand", 4, 2, late)))
    )
    assert told(changed, "b") == {4: {"Demand": 2}, 5: {"Temperature": 1}}
    assert told(changed, "a") == {1: {"Demand": 9}}
    assert "c" not in changed.places


@pytest.fixture
def store(tmp_path):
    with open_store(store_address(None, tmp_path / "serving.db")) as found:
        yield found


def post(store: Store, *values: tuple) -> int | None:
    return write_observations(store, cells(*values), GRID, now=CUTOFF).revision


def test_what_this_process_wrote_and_what_another_did_are_both_there_after_a_refresh(store):
    late, model = CUTOFF + 1, served()

    async def follow() -> list[dict[int, dict[str, float]]]:
        history = ObservedHistory(store, "tiny")
        found = [set((await history.of(model)).places)]
        await history.refresh(("a",), post(store, ("a", "Demand", 10, 1, late)))
        found.append(told(await history.of(model), "a"))
        post(store, ("b", "Demand", 10, 2, late))
        await history.refresh(("a",), post(store, ("a", "Demand", 11, 3, late)))
        return [*found, told(await history.of(model), "a"), told(await history.of(model), "b")]

    nothing, one, two, other = asyncio.run(follow())
    assert nothing == set()
    assert one == {10: {"Demand": 1}}
    assert two == {10: {"Demand": 1}, 11: {"Demand": 3}}
    assert other == {10: {"Demand": 2}}


def test_what_another_process_wrote_is_there_after_a_refresh_for_a_post_that_changed_nothing(store):
    late, model = CUTOFF + 1, served()

    async def follow() -> dict[int, dict[str, float]]:
        history = ObservedHistory(store, "tiny")
        post(store, ("a", "Demand", 10, 1, late))
        await history.of(model)
        post(store, ("b", "Demand", 10, 2, late))
        again = post(store, ("a", "Demand", 10, 1, late))
        assert again is None
        await history.refresh(("a",), again)
        return told(await history.of(model), "b")

    assert asyncio.run(follow()) == {10: {"Demand": 2}}


def test_a_store_that_is_away_keeps_no_request_waiting_and_is_read_when_it_is_back(store, tmp_path, caplog):
    model = served()
    post(store, ("a", "Demand", 10, 1, CUTOFF + 1))
    path = tmp_path / "serving.db"

    async def follow() -> tuple[object, object]:
        history = ObservedHistory(store, "tiny", look_s=0.01)
        store.close()
        path.rename(tmp_path / "away")
        path.mkdir()
        without = await history.of(model)
        path.rmdir()
        (tmp_path / "away").rename(path)
        history.start()
        async with asyncio.timeout(60):
            while (found := await history.of(model)) is None:
                await asyncio.sleep(0.01)
        await history.close()
        return without, told(found, "a")

    without, found = asyncio.run(follow())
    assert without is None
    assert found == {10: {"Demand": 1}}
    assert "observations are not read" in caplog.text


def test_another_version_has_rows_of_its_own(store):
    first, second = served(), replace(served(), cutoff=CUTOFF + 10)
    post(store, ("a", "Demand", 5, 1, CUTOFF + 1))

    async def follow() -> list[set[str]]:
        history = ObservedHistory(store, "tiny")
        found = [set((await history.of(one)).places) for one in (first, second, first)]
        kept = await history.of(second)
        await history.of(first)
        assert await history.of(second) is kept
        await history.refresh(("b",), post(store, ("b", "Demand", 5, 1, CUTOFF + 20)))
        return [*found, *[set((await history.of(one)).places) for one in (first, second)]]

    assert asyncio.run(follow()) == [{"a"}, set(), {"a"}, {"a", "b"}, {"b"}]


def test_the_origin_is_the_latest_whose_horizon_the_covariates_cover():
    values = np.column_stack([[*range(10), *[NAN] * 5], np.full(15, 20.0)])
    model = ServedModel("tiny", 1, CUTOFF, SPEC, {"a": Series("a", START, values)})
    late = CUTOFF + 1

    def origin(*observed: tuple) -> int:
        plan = plan_forecasts(model, ForecastRequest(), rows_over(model, cells(*observed)))
        return (int(plan.origins[0]) - START) // HOUR

    assert origin(("a", "Demand", 10, 1, late)) == 11
    assert origin(("a", "Demand", 11, 1, late)) == 12
    assert origin(("a", "Demand", 12, 1, late)) == 12
    assert origin(("a", "Demand", 13, 1, late)) == 12
    assert origin(("a", "Demand", 12, 1, late), ("a", "Temperature", 15, 1, late)) == 13
    assert origin(("a", "Temperature", 11, 1, late)) == 10
