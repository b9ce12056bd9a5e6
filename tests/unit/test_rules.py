import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exporter.usage.histograms import FIRST_TOKEN
from tests.known_metrics import RULES, known, rules
from tests.promql import labels_of

ROOT = Path(__file__).parents[2]
RUNBOOKS = "https://github.com/llama-server-exporter/llama-server-exporter/blob/main/docs/runbooks/"
ALERTS = [rule for rule in rules() if "alert" in rule]
NAMES = sorted({alert["alert"] for alert in ALERTS})
TESTS = sorted((ROOT / "prometheus" / "tests").glob("*.yml"))
ALWAYS_FIRING = {"Watchdog"}
SECTIONS = ["Meaning", "Impact", "Diagnosis", "What to do"]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_asks_for_metrics_and_labels_that_exist(rule: dict[str, Any]) -> None:
    metrics = known()
    labels = labels_of(rule["expr"], metrics) | set(rule.get("labels", ()))
    templates = " ".join(rule.get("annotations", {}).values())
    assert set(re.findall(r"\$labels\.(\w+)", templates)) <= labels


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_how_bad_what_and_where_to_read_on(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert "{{" not in alert["annotations"]["summary"], "the summary is the same for every instance"
    assert alert["annotations"]["runbook_url"] == f"{RUNBOOKS}{alert['alert']}.md"


def test_a_threshold_stands_in_one_place_and_is_used() -> None:
    defined = [rule["labels"]["alert"] for rule in rules() if rule.get("record") == "alert:llama_threshold:value"]
    used = re.findall(r'alert:llama_threshold:value\{alert="(\w+)"\}', " ".join(alert["expr"] for alert in ALERTS))
    assert sorted(defined) == sorted(set(used))
    assert set(defined) - set(NAMES) == {"MinimumRequests"}


def test_every_alert_is_tested_firing_and_silent() -> None:
    seen: dict[str, set[bool]] = defaultdict(set)
    for file in TESTS:
        for test in msgspec.yaml.decode(file.read_bytes())["tests"]:
            for case in test.get("alert_rule_test", ()):
                seen[case["alertname"]].add(bool(case["exp_alerts"]))
    assert {name for name, outcomes in seen.items() if outcomes != {True, False}} == ALWAYS_FIRING
    assert sorted(seen) == NAMES


def test_every_alert_has_its_runbook_and_no_runbook_is_left_over() -> None:
    assert sorted(file.stem for file in (ROOT / "docs" / "runbooks").glob("*.md")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_has_its_sections_and_its_queries_work(name: str) -> None:
    text = (ROOT / "docs" / "runbooks" / f"{name}.md").read_text("utf-8")
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    (block,) = re.findall(r"```promql\n(.*?)```", text, re.DOTALL)
    metrics = known()
    for query in block.strip().splitlines():
        labels_of(query, metrics)
    for link in re.findall(r"\]\((\w+)\.md\)", text):
        assert link in NAMES


def test_the_bound_of_the_first_token_promise_is_one_of_the_histogram() -> None:
    (bound,) = set(re.findall(r'le="([\d.]+)"', " ".join(rule["expr"] for rule in rules())))
    assert bound in {repr(value) for value in FIRST_TOKEN}


def test_alertmanager_names_alerts_that_exist() -> None:
    text = (ROOT / "alertmanager" / "alertmanager.yml").read_text("utf-8")
    named = {name for found in re.findall(r'alertname!?=~?"([^"]+)"', text) for name in found.split("|")}
    assert named <= set(NAMES)


def test_prometheus_loads_every_rule_file() -> None:
    config = msgspec.yaml.decode((ROOT / "prometheus" / "prometheus.yml").read_bytes())
    matched = {path for pattern in config["rule_files"] for path in (ROOT / "prometheus").glob(pattern)}
    assert matched == set(RULES)
