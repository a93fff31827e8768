"""What was observed of a version's series, in memory."""

import asyncio
from dataclasses import replace

import pytest

from forecasting.store.address import store_address
from forecasting.store.opening import open_store
from serving.gateway.observed import ObservedHistory
from tests.unit.forecasting.answering.observed_rows import CUTOFF, post, served, told
from tests.unit.serving.refusing_database import refusing


@pytest.fixture
def store(tmp_path):
    with open_store(store_address(None, tmp_path / "serving.db")) as found:
        yield found


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


def test_what_was_written_stands_where_it_cannot_be_read_again_and_the_next_look_reads_it(store, caplog):
    late, model = CUTOFF + 1, served()

    async def follow() -> list[object]:
        history = ObservedHistory(store, "tiny")
        await history.of(model)
        revision = post(store, ("a", "Demand", 10, 1, late))
        with refusing("FROM observed_columns") as refused:
            await history.refresh(("a",), revision)
        found = [len(refused), history.problem, set((await history.of(model)).places)]
        await history.refresh((), None)
        return [*found, history.problem, told(await history.of(model), "a")]

    problem = "observations are not read: string or blob too big"
    assert asyncio.run(follow()) == [1, problem, set(), "", {10: {"Demand": 1}}]
    assert problem in caplog.text
