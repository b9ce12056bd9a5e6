"""Every metric that a query may name: what the catalog declares, llama-server's own, what the rules record."""

import re
from pathlib import Path
from typing import Any

import msgspec

from exporter.metrics.definitions import ALL
from tests.promql import TARGET, Known, labels_of
from tests.support import FIXTURES

ROOT = Path(__file__).parents[1]
RULES = sorted((ROOT / "prometheus" / "rules").glob("*.yml"))


def own() -> dict[str, frozenset[str]]:
    """Labels of our own metrics by the name of a series: a histogram is three."""
    known: dict[str, frozenset[str]] = {}
    for metric in ALL:
        labels = frozenset(metric.labels) | TARGET
        if metric.kind == "histogram":
            known |= {metric.name + suffix: labels for suffix in ("_sum", "_count")}
            known[metric.name + "_bucket"] = labels | {"le"}
        else:
            known[metric.name] = labels
    return known


def native() -> dict[str, frozenset[str]]:
    """llama-server's own metrics of all builds that fixtures were taken from."""
    pages = (page.read_text("utf-8") for page in FIXTURES.glob("*/metrics-busy.txt"))
    names = {name for page in pages for name in re.findall(r"^# TYPE (\S+)", page, re.MULTILINE)}
    return dict.fromkeys(names, TARGET | {"model"})


def scraped() -> dict[str, frozenset[str]]:
    """All that a scrape can bring, and what Prometheus adds."""
    added = dict.fromkeys(("up", "scrape_duration_seconds"), TARGET)
    return {**own(), **native(), **added, "ALERTS": TARGET | {"alertname", "alertstate", "severity", "model"}}


def rules() -> list[dict[str, Any]]:
    """Every rule of every file, recording and alert."""
    files = (msgspec.yaml.decode(file.read_bytes()) for file in RULES)
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def known() -> Known:
    """What may be asked for: what is scraped, and what the rules record, in their order."""
    found = scraped()
    for rule in sorted(rules(), key=lambda rule: "thresholds" not in rule.get("record", "")):
        if "record" in rule:
            found[rule["record"]] = labels_of(rule["expr"], found) | frozenset(rule.get("labels", ()))
    return found
