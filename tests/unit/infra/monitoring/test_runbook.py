import re
from pathlib import Path

from infra.monitoring.rule_files import alert_groups, rule_files
from infra.monitoring.spec import RulesSpec

ROOT = Path(__file__).parents[4]
ALERTS = [alert for alerts in alert_groups(RulesSpec()).values() for alert in alerts]


def entries() -> dict[str, str]:
    """Text of each entry by its heading."""
    parts = re.split(r"^### (.+)$", (ROOT / "docs/runbook.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_runbook_has_an_entry_for_every_alert_and_for_no_other():
    assert list(entries()) == list(dict.fromkeys(alert.name for alert in ALERTS))


def test_every_entry_says_what_it_means_and_what_to_do():
    assert [name for name, text in entries().items() if "- Means: " not in text or "- Do: " not in text] == []


def test_the_address_of_every_alert_leads_to_its_entry():
    for document in rule_files(RulesSpec()).values():
        for rule in document["groups"][0]["rules"]:
            if "alert" in rule:
                path, anchor = rule["annotations"]["runbook_url"].split("#")
                assert (ROOT / path).is_file()
                assert anchor == rule["alert"].lower()
