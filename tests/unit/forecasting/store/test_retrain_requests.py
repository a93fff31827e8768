from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from forecasting.errors import RetryableError
from forecasting.store.opening import open_store
from forecasting.store.retrain_requests import (
    RequestState,
    claim_request,
    finish_request,
    record_run,
    renew_lease,
    request_retraining,
    retrain_requests,
)


def ask(store, dedup_key="drift", model="load", now=100, **fields):
    values = {"reason": "drift of Temperature", "source": "monitor", **fields}
    return request_retraining(store, model, dedup_key=dedup_key, now=now, **values)


def claim(store, owner="w1", now=200, **fields):
    return claim_request(store, owner, now=now, lease_s=60, **fields)


def test_a_request_waits_with_what_was_said_of_it(store):
    made = ask(store)
    assert (made.model, made.reason, made.source, made.created_at) == ("load", "drift of Temperature", "monitor", 100)
    assert (made.state, made.attempts, made.run) == (RequestState.WAITING, 0, None)
    assert retrain_requests(store) == [made]


def test_a_second_request_of_the_same_kind_is_the_first(store):
    made = ask(store)
    assert ask(store, now=150, reason="still") == made
    claim(store)
    assert ask(store, now=250).id == made.id
    assert len(retrain_requests(store)) == 1


def test_another_model_another_key_and_a_closed_request_are_other_requests(store):
    first = ask(store)
    assert ask(store, model="price").id != first.id
    assert ask(store, dedup_key="staleness").id != first.id
    held = claim(store)
    finish_request(store, held, RequestState.DONE, detail="promoted", now=300)
    again = ask(store, now=400)
    assert again.id != first.id
    assert again.state == RequestState.WAITING


def test_the_oldest_is_claimed_first_and_each_once(store):
    first, second = ask(store), ask(store, dedup_key="b")
    held = claim(store)
    assert (held.id, held.state, held.lease_owner, held.lease_until, held.attempts) == (
        first.id,
        "claimed",
        "w1",
        260,
        1,
    )
    assert claim(store, "w2").id == second.id
    assert claim(store, "w3") is None


def test_a_worker_may_ask_for_one_model(store):
    ask(store)
    other = ask(store, model="price")
    assert claim(store, model="price").id == other.id
    assert claim(store, model="nothing") is None


def test_workers_at_once_never_get_the_same_request(store, address):
    for number in range(20):
        ask(store, dedup_key=str(number))
    stores = [open_store(address) for _ in range(4)]
    with ThreadPoolExecutor(8) as threads:
        held = list(threads.map(lambda n: claim(stores[n % 4], f"w{n}"), range(24)))
    for one in stores:
        one.close()
    ids = [one.id for one in held if one is not None]
    assert len(ids) == len(set(ids)) == 20


def test_a_request_whose_worker_died_goes_to_another_with_its_run(store):
    ask(store)
    record_run(store, claim(store), "run-7")
    assert claim(store, "w2", now=259) is None
    taken = claim(store, "w2", now=260)
    assert (taken.lease_owner, taken.attempts, taken.run, taken.lease_until) == ("w2", 2, "run-7", 320)


def test_a_renewed_lease_holds_longer(store):
    ask(store)
    held = renew_lease(store, claim(store), now=250, lease_s=60)
    assert held.lease_until == 310
    assert claim(store, "w2", now=300) is None


def test_a_worker_that_lost_its_request_is_told_and_changes_nothing(store):
    ask(store)
    lost = claim(store)
    taken = claim(store, "w2", now=260)
    for change in (
        lambda: renew_lease(store, lost, now=261, lease_s=60),
        lambda: record_run(store, lost, "run-8"),
        lambda: finish_request(store, lost, RequestState.FAILED, detail="", now=261),
    ):
        with pytest.raises(RetryableError, match=r"must be held by 'w1' in attempt 1, and is not any more"):
            change()
    assert retrain_requests(store) == [taken]


def test_a_worker_is_not_taken_for_itself_of_an_earlier_attempt(store):
    ask(store)
    lost = claim(store)
    claim(store, "w1", now=260)
    with pytest.raises(RetryableError):
        finish_request(store, lost, RequestState.DONE, detail="", now=261)


def test_a_request_that_outlived_three_workers_is_given_up(store):
    ask(store)
    for now in (200, 300, 400):
        assert claim(store, now=now) is not None
    assert claim(store, now=500) is None
    (found,) = retrain_requests(store)
    assert (found.state, found.finished_at) == (RequestState.FAILED, 500)
    assert found.detail == "its workers ended 3 times before it was done"


def test_a_closed_request_says_how_it_ended(store):
    ask(store)
    held = claim(store)
    done = finish_request(store, held, RequestState.DONE, detail="refused by evaluate_model", now=300)
    assert done == replace(held, state=RequestState.DONE, detail="refused by evaluate_model", finished_at=300)
    assert claim(store, now=10_000) is None
