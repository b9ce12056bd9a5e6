"""What a PromQL query asks for: its metrics, and the labels of its result."""

from collections.abc import Iterable, Mapping
from typing import Any

import promql_parser as promql

TARGET = frozenset({"job", "instance"})
"""Labels that Prometheus gives every series that it scrapes."""

Known = Mapping[str, frozenset[str]]
"""Labels by metric, of every metric that a query may name."""


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
