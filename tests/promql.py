"""What a PromQL query asks for, checked against the metrics that the exporter declares: names, and labels of each."""

import importlib
import pkgutil
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import promql_parser as promql

import exporter.catalog
from exporter.catalog.metric import Metric
from tests.support import FIXTURES

ROOT = Path(__file__).parents[1]
RULES = sorted((ROOT / "prometheus" / "rules").glob("*.yml"))
TARGET = frozenset({"job", "instance"})
"""Labels that Prometheus gives every series that it scrapes."""

Known = Mapping[str, frozenset[str]]
"""Labels by metric, of every metric that a query may name."""

EXPECTED_SOON: dict[str, tuple[str, ...]] = {
    "llama_draft_tokens_total": ("model",),
    "llama_draft_tokens_accepted_total": ("model",),
    "llama_model_state": ("model", "state"),
    "llama_model_loads_total": ("model", "result"),
    "llama_model_load_seconds": ("model",),
    "llama_model_last_exit_code": ("model",),
    "llama_slot_processing": ("model", "slot"),
    "llama_slot_context_tokens": ("model", "slot"),
    "llama_slot_used_tokens": ("model", "slot"),
    "llama_context_usage_ratio": ("model",),
    "llama_prompt_progress_ratio": ("model", "slot"),
    "llama_gpus": (),
    "llama_gpu_info": ("gpu", "uuid", "name", "driver", "vendor"),
    "llama_gpu_utilization_ratio": ("gpu", "uuid"),
    "llama_gpu_memory_utilization_ratio": ("gpu", "uuid"),
    "llama_gpu_fan_speed_ratio": ("gpu", "uuid"),
    "llama_gpu_memory_total_bytes": ("gpu", "uuid"),
    "llama_gpu_memory_used_bytes": ("gpu", "uuid"),
    "llama_gpu_memory_free_bytes": ("gpu", "uuid"),
    "llama_gpu_temperature_celsius": ("gpu", "uuid", "sensor"),
    "llama_gpu_power_watts": ("gpu", "uuid"),
    "llama_gpu_power_limit_watts": ("gpu", "uuid"),
    "llama_gpu_energy_joules_total": ("gpu", "uuid"),
    "llama_gpu_clock_hertz": ("gpu", "uuid", "clock"),
    "llama_gpu_pcie_received_bytes_total": ("gpu", "uuid"),
    "llama_gpu_pcie_transmitted_bytes_total": ("gpu", "uuid"),
    "llama_gpu_throttle_active": ("gpu", "uuid", "reason"),
    "llama_gpu_ecc_errors_total": ("gpu", "uuid", "kind"),
    "llama_gpu_xid_errors_total": ("gpu", "uuid", "xid"),
    "llama_gpu_processes": ("gpu", "uuid"),
    "llama_gpu_model_memory_bytes": ("gpu", "uuid", "model"),
    "llama_gpu_model_energy_joules_total": ("gpu", "uuid", "model"),
}
"""Metrics of router mode, slots, drafts and GPUs that queries name before the catalog has them. Delete what landed."""


def declared() -> list[Metric]:
    """Every metric of the catalog."""
    modules = pkgutil.iter_modules(exporter.catalog.__path__, "exporter.catalog.")
    found = (vars(importlib.import_module(module.name)).values() for module in modules)
    return [value for values in found for value in values if isinstance(value, Metric)]


def own() -> dict[str, frozenset[str]]:
    """Labels of our own metrics by the name of a series: a histogram is three."""
    known: dict[str, frozenset[str]] = {}
    for metric in declared():
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
    soon = {name: frozenset(labels) | TARGET for name, labels in EXPECTED_SOON.items()}
    added = dict.fromkeys(("up", "scrape_duration_seconds"), TARGET)
    return {**soon, **own(), **native(), **added, "ALERTS": TARGET | {"alertname", "alertstate", "severity", "model"}}


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


def labels_of(query: str, metrics: Known) -> frozenset[str]:
    """The labels that a result of the query can have.

    Raises `ValueError` for a syntax or type error, AssertionError for a metric or a label that does not exist.
    """
    return _labels(promql.parse(query), metrics)


def _labels(node: Any, metrics: Known) -> frozenset[str]:  # noqa: PLR0911 -- one a kind of node
    match node:
        case promql.VectorSelector():
            assert node.name is not None
            assert node.name in metrics, f"no such metric: {node.name}"
            _exist((matcher.name for matcher in node.matchers.matchers), metrics[node.name], node)
            return metrics[node.name]
        case promql.MatrixSelector():
            return _labels(node.vector_selector, metrics)
        case promql.SubqueryExpr() | promql.ParenExpr() | promql.UnaryExpr():
            return _labels(node.expr, metrics)
        case promql.Call():
            return _call(node, metrics)
        case promql.AggregateExpr():
            return _aggregate(node, metrics)
        case promql.BinaryExpr():
            return _binary(node, metrics)
        case _:
            return frozenset()  # a number or a string


def _call(node: Any, metrics: Known) -> frozenset[str]:
    labels = frozenset[str]().union(*(_labels(argument, metrics) for argument in node.args))
    match node.func.name:
        case "scalar" | "vector" | "time":
            return frozenset()
        case "histogram_quantile":
            _exist(["le"], labels, node)
            return labels - {"le"}
        case "label_replace" | "label_join":
            return labels | {node.args[1].val}
        case "absent":
            return TARGET
        case _:
            return labels


def _aggregate(node: Any, metrics: Known) -> frozenset[str]:
    labels = _labels(node.expr, metrics)
    if str(node.op) in ("topk", "bottomk"):
        return labels
    if node.modifier is None:
        return frozenset()
    _exist(node.modifier.labels, labels, node)
    chosen = frozenset(node.modifier.labels)
    return chosen if node.modifier.type == promql.AggModifierType.By else labels - chosen


def _binary(node: Any, metrics: Known) -> frozenset[str]:
    left, right = _labels(node.lhs, metrics), _labels(node.rhs, metrics)
    modifier = node.modifier
    matching = modifier.matching if modifier else None
    if matching and matching.type == promql.LabelModifierType.Include:
        _exist(matching.labels, left & right, node)
    if modifier and modifier.group_labels is not None:
        _exist(modifier.group_labels, left | right, node)
        many = left if modifier.card == promql.VectorMatchCardinality.ManyToOne else right
        return many | set(modifier.group_labels)
    match str(node.op):
        case "or":
            return left | right
        case "and" | "unless" | ">" | "<" | "==" | "!=" | ">=" | "<=":
            return left or right
    if matching and matching.type == promql.LabelModifierType.Include:
        return frozenset(matching.labels)
    return (left & right) or left or right


def _exist(asked: Iterable[str], labels: Iterable[str], node: Any) -> None:
    missing = set(asked) - set(labels)
    assert not missing, f"no label {', '.join(sorted(missing))} in {node.prettify()}"


def selectors(query: str) -> list[tuple[str, dict[str, str]]]:
    """Every metric that the query names, with its label matchers as written."""
    return [
        (str(node.name), {m.name: m.value for m in node.matchers.matchers}) for node in _vectors(promql.parse(query))
    ]


def _vectors(node: Any) -> list[Any]:
    match node:
        case promql.VectorSelector():
            return [node]
        case promql.MatrixSelector():
            return [node.vector_selector]
        case promql.SubqueryExpr() | promql.ParenExpr() | promql.UnaryExpr() | promql.AggregateExpr():
            return _vectors(node.expr)
        case promql.Call():
            return [found for argument in node.args for found in _vectors(argument)]
        case promql.BinaryExpr():
            return [*_vectors(node.lhs), *_vectors(node.rhs)]
        case _:
            return []
