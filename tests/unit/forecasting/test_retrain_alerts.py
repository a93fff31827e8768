import pytest

from forecasting.errors import DataError
from forecasting.retrain_alerts import MAX_ALERTS, episode, parse_alerts


def alert(**changes):
    labels = {"alertname": "ForecastBiased", "model": "load", "retrain": "accuracy"}
    annotations = {"summary": "bias of 7 days is 12 %"}
    return {"status": "firing", "fingerprint": "a1b2", "labels": labels, "annotations": annotations, **changes}


def post(*alerts, **more):
    return {"version": "4", "status": "firing", "groupKey": "{}", "alerts": list(alerts), **more}


def test_a_firing_alert_of_the_model_with_the_label_asks_for_a_run():
    (found,) = parse_alerts(post(alert()))
    assert found.ignored("load") is None
    assert found.reason == "alert ForecastBiased: bias of 7 days is 12 %"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"status": "resolved"}, "resolved"),
        ({"labels": {"model": "load"}}, "it has no label retrain"),
        ({"labels": {"model": "load", "retrain": ""}}, "it has no label retrain"),
        ({"labels": {"retrain": "drift"}}, "it is of another model"),
        ({"labels": {"retrain": "drift", "model": "price"}}, "it is of another model"),
    ],
)
def test_an_alert_that_asks_for_nothing_says_why(changes, why):
    (found,) = parse_alerts(post(alert(**changes)))
    assert found.ignored("load") == why


@pytest.mark.parametrize(
    ("starts_at", "name"),
    [
        ("1970-01-01T00:01:40.123456789Z", "alert:ForecastBiased:100"),
        ("1970-01-01T01:01:40+01:00", "alert:ForecastBiased:100"),
        (None, "alert:ForecastBiased:"),
    ],
)
def test_an_episode_of_an_alert_is_named_by_the_time_when_it_began(starts_at, name):
    found = parse_alerts(post(alert(startsAt=starts_at)))
    assert episode(found[0], found) == name


def test_alerts_of_one_name_and_model_are_one_episode_that_began_with_the_first_that_fires():
    labels, times = alert()["labels"], [f"1970-01-01T00:0{minute}:00Z" for minute in range(9)]
    found = parse_alerts(
        post(
            alert(startsAt=times[4]),
            alert(fingerprint="b", startsAt=times[3], labels={**labels, "horizon": "h1"}),
            alert(fingerprint="c", startsAt=times[2], status="resolved"),
            alert(fingerprint="d", startsAt=times[1], labels={**labels, "model": "price"}),
            alert(fingerprint="e", startsAt=times[1], labels={**labels, "alertname": "ForecastDrift"}),
            alert(fingerprint="f", startsAt=times[1], labels={**labels, "retrain": ""}),
        )
    )
    assert [episode(one, found) for one in found[:2]] == ["alert:ForecastBiased:180"] * 2


def test_an_alert_without_a_name_is_an_episode_of_its_own():
    found = parse_alerts(post(alert(labels={}, startsAt="1970-01-01T00:00:07Z"), alert(fingerprint="b", labels={})))
    assert [episode(one, found) for one in found] == ["alert:a1b2:7", "alert:b:"]


def test_an_alert_that_stands_twice_in_a_post_counts_once():
    assert len(parse_alerts(post(alert(), alert(), alert(fingerprint="b")))) == 2


def test_a_reason_is_one_short_line():
    (found,) = parse_alerts(post(alert(annotations={"summary": "a\nb\x1b[31m" + "c" * 900})))
    assert found.reason.startswith("alert ForecastBiased: a b[31mccc")
    assert len(found.reason) == 301
    (bare,) = parse_alerts(post(alert(annotations=None, labels={})))
    assert bare.reason == "alert a1b2"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "'alerts' must be a list, as Alertmanager's webhook has it, found NoneType"),
        ({"alerts": {}}, "found dict"),
        (post("x"), r"alerts\[0\] must be an object, found str"),
        (post(alert(), alert(status="on")), r"alerts\[1\]: 'status' must be firing or resolved, found 'on'"),
        (post(alert(fingerprint="a:b")), "'fingerprint' must be 1 to 64 letters and digits, found 'a:b'"),
        (post(alert(fingerprint="")), "'fingerprint'"),
        (post(alert(fingerprint="a" * 65)), "'fingerprint'"),
        (post(alert(startsAt="soon")), r"alerts\[0\]: 'startsAt' must be a time with its zone, .* found 'soon'"),
        (post(alert(startsAt="2026-05-01T12:00:00")), "'startsAt' must be a time with its zone"),
        (post(alert(startsAt=7)), "'startsAt' must be a time with its zone"),
        (post(alert(labels=["x"])), "'labels' must be an object of texts"),
        (post(alert(labels={"x": 1})), "'labels' must be an object of texts"),
        (post(*[alert()] * (MAX_ALERTS + 1)), "at most 1000 entries, found 1001"),
    ],
)
def test_what_is_no_post_of_alertmanager_is_refused(document, message):
    with pytest.raises(DataError, match=message):
        parse_alerts(document)
