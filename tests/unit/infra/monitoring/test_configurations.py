"""prometheus.yml and alertmanager.yml, as far as Python can say."""

import re

from infra.monitoring.alertmanager_file import ReceiversSpec, alertmanager_document, compose_receivers
from infra.monitoring.prometheus_file import ScrapeSpec, compose_scrapes, prometheus_document
from infra.monitoring.tensorflow_names import SCRAPED
from serving.model_server.metrics import FAMILIES


def relabelled(name: str, rules: list[dict[str, str]]) -> str:
    """A name after relabelling as Prometheus does it: each rule in turn, anchored."""
    for rule in rules:
        if (found := re.fullmatch(rule["regex"], name)) is not None:
            name = re.sub(r"\$\{(\d)\}", lambda place, found=found: found[int(place[1])], rule["replacement"])
    return name


def test_the_names_of_the_model_server_become_those_that_rules_and_panels_read():
    jobs = {job["job_name"]: job for job in prometheus_document(compose_scrapes())["scrape_configs"]}
    rules = jobs["model-server"]["metric_relabel_configs"]
    assert {relabelled(name, rules) for name in FAMILIES if name.startswith(":")} == set(SCRAPED)
    assert relabelled("almanac_model_server_requests_total", rules) == "almanac_model_server_requests_total"
    assert jobs["model-server"]["metrics_path"] == "/monitoring/prometheus/metrics"


def test_only_the_gateway_is_asked_with_a_token_and_only_where_there_is_one():
    jobs = prometheus_document(compose_scrapes())["scrape_configs"]
    assert [job["job_name"] for job in jobs if "authorization" in job] == ["gateway"]
    open_jobs = prometheus_document(ScrapeSpec({"gateway": "localhost:1"}, ()))["scrape_configs"]
    assert [job for job in open_jobs if "authorization" in job] == []


def test_what_was_pushed_keeps_its_own_labels():
    jobs = prometheus_document(compose_scrapes())["scrape_configs"]
    assert [job["job_name"] for job in jobs if job.get("honor_labels")] == ["pipeline"]


def test_a_receiver_without_an_address_tells_nobody_and_one_with_one_is_told_of_the_end_too():
    receivers = {one["name"]: one for one in alertmanager_document(compose_receivers())["receivers"]}
    assert set(receivers) == {"pages", "tickets", "watchdog", "retrain"}
    assert receivers["pages"] == {"name": "pages"}
    (hook,) = receivers["retrain"]["webhook_configs"]
    assert (hook["url"], hook["send_resolved"]) == ("http://gateway:8080/v1/alerts", True)
    assert hook["http_config"] == {"authorization": {"credentials_file": "/etc/alertmanager/gateway-token"}}
    told = alertmanager_document(ReceiversSpec("http://localhost:1/", pages="http://localhost:2/"))["receivers"][0]
    assert told == {"name": "pages", "webhook_configs": [{"url": "http://localhost:2/", "send_resolved": True}]}
