from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from forecasting.errors import RetryableError
from forecasting.store.opening import open_store
from forecasting.store.retrain_asking import (
    AskedDecision,
    AskedOutcome,
    AskingLimitsSpec,
    RequestSource,
    RetrainReasonSpec,
    ask_for_retraining,
)
from forecasting.store.retrain_requests import (
    RequestState,
    claim_request,
    finish_request,
    give_back,
    give_up_requests,
    open_requests,
    record_run,
    renew_lease,
    retrain_requests,
)

LIMITS = AskingLimitsSpec(cooldown_s=600, max_per_day=2)


def ask(store, dedup_key="drift", model="load", now=100, source=RequestSource.HAND, reason="drift of Temperature"):
    asked = RetrainReasonSpec(model=model, source=source, reason=reason, dedup_key=dedup_key)
    return ask_for_retraining(store, asked, LIMITS, now=now)


def claim(store, owner="w1", now=200, **fields):
    return claim_request(store, owner, now=now, lease_s=60, **fields)


def test_a_request_waits_with_what_was_said_of_it(store):
    found = ask(store)
    made = found.request
    assert found.outcome == AskedOutcome.MADE
    assert (made.model, made.reason, made.source, made.created_at) == ("load", "drift of Temperature", "hand", 100)
    assert (made.state, made.attempts, made.run) == (RequestState.WAITING, 0, None)
    assert retrain_requests(store) == [made]


def test_a_second_request_by_hand_is_the_first_while_that_is_open(store):
    made = ask(store)
    again = ask(store, now=150, reason="still")
    assert again == AskedDecision(AskedOutcome.DUPLICATE, made.request, "request 1 is waiting")
    held = claim(store)
    assert ask(store, now=250).why == "request 1 is claimed"
    finish_request(store, held, RequestState.DONE, detail="promoted", now=300)
    assert ask(store, now=301).outcome == "made"
    assert len(retrain_requests(store)) == 2


def test_one_request_alone_may_be_claimed(store):
    ask(store, "a")
    second = ask(store, "b").request
    assert claim(store, only=second.id).id == second.id
    assert claim(store, now=300, only=second.id + 1) is None


def test_open_requests_are_those_of_the_model_that_wait_or_are_claimed(store):
    first, second = ask(store, "a").request, ask(store, "b").request
    ask(store, model="price")
    finish_request(store, claim(store), RequestState.DONE, detail="promoted", now=300)
    third = ask(store, "c").request
    held = claim(store, now=400)
    assert (first.id, held.id) == (1, second.id)
    assert open_requests(store, "load") == [held, third]


def test_another_model_and_another_key_are_other_requests(store):
    ids = {ask(store).request.id, ask(store, model="price").request.id, ask(store, dedup_key="b").request.id}
    assert len(ids) == 3


@pytest.mark.parametrize("source", [RequestSource.ALERT, RequestSource.NEW_DATA])
def test_an_alert_is_held_back_by_any_open_request_of_its_model(store, source):
    ask(store)
    ask(store, "other", model="price")
    assert ask(store, "alert:1", source=source, now=150).why == "request 1 is waiting"
    claim(store)
    assert ask(store, "alert:1", source=source, now=250).why == "request 1 is claimed"


def test_an_alert_is_held_back_until_the_cooldown_after_the_last_request_is_over(store):
    ask(store, now=100)
    finish_request(store, claim(store), RequestState.FAILED, detail="", now=300)
    held = ask(store, "alert:1", source=RequestSource.ALERT, now=899)
    assert held == AskedDecision(AskedOutcome.LIMITED, None, "the last request ended 599 s ago; none for 1 s more")
    assert ask(store, "alert:1", model="price", source=RequestSource.ALERT, now=899).outcome == "made"
    assert ask(store, "alert:1", source=RequestSource.ALERT, now=900).outcome == "made"


@pytest.mark.parametrize("jump_s", [3_600, 86_400])
@pytest.mark.parametrize("source", [RequestSource.ALERT, RequestSource.NEW_DATA])
def test_what_ended_by_a_clock_that_was_an_hour_or_a_day_ahead_holds_nothing_back(store, jump_s, source):
    limits = replace(LIMITS, alert_repeat_s=1_200)
    asked = RetrainReasonSpec(model="load", source=source, reason="drift", dedup_key="alert:1")
    ask_for_retraining(store, asked, limits, now=100 + jump_s)
    finish_request(store, claim(store, now=200 + jump_s), RequestState.DONE, detail="", now=300 + jump_s)
    assert ask_for_retraining(store, asked, limits, now=1_600).outcome == "made"


@pytest.mark.parametrize(("ahead_s", "outcome"), [(1_000, "made"), (100, "limited")])
def test_a_clock_that_was_ahead_by_less_than_the_hold_holds_nothing_back_unless_machines_differ_so_much(
    store, ahead_s, outcome
):
    limits = replace(LIMITS, alert_repeat_s=1_200)
    asked = RetrainReasonSpec(model="load", source=RequestSource.ALERT, reason="drift", dedup_key="alert:1")
    ask_for_retraining(store, asked, limits, now=100)
    finish_request(store, claim(store), RequestState.DONE, detail="", now=300 + ahead_s)
    assert ask_for_retraining(store, asked, limits, now=310).outcome == outcome


@pytest.mark.parametrize("jump_s", [3_600, 86_400])
def test_a_lease_of_a_clock_that_was_ahead_is_a_right_one_once_it_is_renewed(store, jump_s):
    ask(store)
    held = claim(store, now=200 + jump_s)
    assert claim(store, "w2", now=300) is None
    assert renew_lease(store, held, now=300, lease_s=60).lease_until == 360
    assert claim(store, "w2", now=361).lease_owner == "w2"


@pytest.mark.parametrize("jump_s", [3_600, 86_400])
def test_a_worker_whose_request_was_taken_over_by_a_clock_that_is_ahead_learns_it(store, jump_s):
    ask(store)
    held = claim(store)
    taken = claim(store, "w2", now=200 + jump_s)
    assert taken.lease_owner == "w2"
    with pytest.raises(RetryableError):
        renew_lease(store, held, now=230, lease_s=60)


def test_an_alert_that_goes_on_after_its_run_asks_again_much_later_and_one_that_fires_anew_after_the_cooldown(store):
    limits = replace(LIMITS, alert_repeat_s=100_000, max_per_day=9)
    asked = RetrainReasonSpec(model="load", source=RequestSource.ALERT, reason="drift", dedup_key="alert:1:50")
    ask_for_retraining(store, asked, limits, now=100)
    finish_request(store, claim(store), RequestState.DONE, detail="refused", now=300)
    held = ask_for_retraining(store, asked, limits, now=100_299)
    assert held.outcome == "limited"
    assert held.why == "a run for this alert ended 99999 s ago, and it fires still; none for 1 s more"
    anew = replace(asked, dedup_key="alert:1:500")
    assert ask_for_retraining(store, anew, limits, now=900).outcome == "made"
    finish_request(store, claim(store, now=1_000), RequestState.FAILED, detail="", now=1_100)
    assert ask_for_retraining(store, anew, limits, now=1_700).outcome == "made"
    finish_request(store, claim(store, now=1_800), RequestState.DONE, detail="", now=1_900)
    assert ask_for_retraining(store, asked, limits, now=100_300).outcome == "made"


def test_no_more_than_so_many_alerts_a_day_become_requests(store):
    for now in (1_000, 3_000):
        assert ask(store, "alert:1", source=RequestSource.ALERT, now=now).outcome == "made"
        finish_request(store, claim(store, now=now), RequestState.DONE, detail="", now=now + 1)
    assert (
        ask(store, "data", source=RequestSource.NEW_DATA, now=80_000).why
        == "2 requests within a day are as many as may be"
    )
    assert ask(store, now=80_000).outcome == "made"
    finish_request(store, claim(store, now=80_001), RequestState.DONE, detail="", now=80_002)
    assert ask(store, "data", source=RequestSource.NEW_DATA, now=1_000 + 86_400).outcome == "made"


def test_a_time_of_a_schedule_is_asked_for_once_for_ever(store):
    assert ask(store, "schedule:1", source=RequestSource.SCHEDULE).outcome == "made"
    finish_request(store, claim(store), RequestState.DONE, detail="", now=201)
    assert ask(store, "schedule:1", source=RequestSource.SCHEDULE, now=300).why == "request 1 is done"
    assert ask(store, "schedule:2", source=RequestSource.SCHEDULE, now=300).outcome == "made"
    assert ask(store, "schedule:3", source=RequestSource.SCHEDULE, now=301).why == "request 2 is waiting"


def test_askers_at_once_make_one_request(store, address):
    stores = [open_store(address) for _ in range(4)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda n: ask(stores[n % 4], f"alert:{n}", source=RequestSource.ALERT), range(16)))
    for one in stores:
        one.close()
    assert [one.outcome for one in found].count("made") == 1
    assert len(retrain_requests(store)) == 1


def test_the_oldest_is_claimed_first_and_each_once(store):
    first, second = ask(store).request, ask(store, model="price").request
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


def test_a_second_request_of_a_model_waits_until_the_first_is_closed_or_let_go(store):
    ask(store)
    second = ask(store, "b").request
    held = claim(store)
    assert claim(store, "w2", now=259) is None
    finish_request(store, held, RequestState.DONE, detail="", now=259)
    assert claim(store, "w2", now=259).id == second.id


def test_a_request_that_was_given_back_waits_until_its_time_with_its_run(store):
    ask(store)
    held = record_run(store, claim(store), "run-7")
    given = give_back(store, held, not_before=300, counts=True, detail="failed with exit code 75")
    assert (given.state, given.lease_owner, given.attempts, given.detail) == (
        "waiting",
        None,
        1,
        "failed with exit code 75",
    )
    assert claim(store, "w2", now=299) is None
    taken = claim(store, "w2", now=300)
    assert (taken.attempts, taken.run) == (2, "run-7")
    assert give_back(store, taken, not_before=300, counts=False).attempts == 1


def test_a_worker_may_ask_for_one_model(store):
    ask(store)
    other = ask(store, model="price").request
    assert claim(store, model="price").id == other.id
    assert claim(store, model="nothing") is None


def test_workers_at_once_never_get_the_same_request(store, address):
    for number in range(20):
        ask(store, model=f"m{number}")
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
    assert give_up_requests(store, now=459) == []
    assert claim(store, now=500) is None
    assert give_up_requests(store, now=500, model="price") == []
    (closed,) = give_up_requests(store, now=500)
    assert retrain_requests(store) == [closed]
    assert (closed.state, closed.finished_at) == (RequestState.FAILED, 500)
    assert closed.detail == "its workers ended 3 times before it was done"


def test_workers_at_once_never_hold_two_requests_of_one_model(store, address):
    for number in range(6):
        ask(store, dedup_key=str(number))
    stores = [open_store(address) for _ in range(4)]
    with ThreadPoolExecutor(8) as threads:
        held = list(threads.map(lambda n: claim(stores[n % 4], f"w{n}"), range(12)))
    for one in stores:
        one.close()
    assert sum(one is not None for one in held) == 1


def test_a_closed_request_says_how_it_ended(store):
    ask(store)
    held = claim(store)
    done = finish_request(store, held, RequestState.DONE, detail="refused by evaluate_model", now=300)
    assert done == replace(held, state=RequestState.DONE, detail="refused by evaluate_model", finished_at=300)
    assert claim(store, now=10_000) is None
