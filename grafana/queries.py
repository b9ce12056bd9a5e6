"""Queries of panels: where they ask, what they are filtered by, and the few shapes that many panels share."""

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]

PROMETHEUS: Json = {"type": "prometheus", "uid": "${datasource}"}
LOKI: Json = {"type": "loki", "uid": "${loki}"}

SERVER = 'job=~"$job",instance=~"$instance"'
MODEL = f'{SERVER},model=~"$model"'
GPU = f'{SERVER},gpu=~"$gpu"'
GPU_MODEL = f'{GPU},model=~"$model"'
FLEET = 'job=~"$job",model=~"$model"'
LOGS = '{service_name="llama",host=~"$host"} | model=~"$model"'
LOGS_OF_SERVER = '{service_name="llama",host=~"$host"} | (model=~"$model" or model="")'
"""Of the chosen models and of none: a crash of the server concerns each of them and names none. Not `=~"$model|"`: with
an empty alternative Loki does not find what has no model."""

THRESHOLD = "alert threshold"
"""Legend of the line that `threshold` draws; panels draw it dashed and red."""


def prom(expr: str, legend: str) -> Json:
    """A query over the time range."""
    return {
        "datasource": PROMETHEUS,
        "editorMode": "code",
        "expr": expr,
        "instant": False,
        "legendFormat": legend,
        "range": True,
    }


def cells(expr: str) -> Json:
    """A query of now whose labels become columns of a table."""
    return {**now(prom(expr, "")), "format": "table"}


def buckets(metric: str) -> Json:
    """A heatmap's query: observations of a histogram by bucket."""
    query = prom(f"sum by (le) (increase({metric}_bucket{{{MODEL}}}[$__rate_interval]))", "{{le}}")
    return {**query, "format": "heatmap"}


def loki(expr: str, legend: str = "") -> Json:
    """A query of the log: of lines, or over them when it aggregates."""
    return {"datasource": LOKI, "editorMode": "code", "expr": expr, "legendFormat": legend, "queryType": "range"}


def now(query: Json) -> Json:
    """The same asked once, for the end of the time range: for sums over all of it, which are dear at every point."""
    if query["datasource"] == LOKI:
        return {**query, "queryType": "instant"}
    return {**query, "instant": True, "range": False}


def threshold(alert: str) -> Json:
    """The number that this alert compares with, as a line."""
    return prom(f'alert:llama_threshold:value{{alert="{alert}"}}', THRESHOLD)


def quantiles(buckets_of_all: str) -> list[Json]:
    """Median, p95 and p99, from a rate of buckets that is summed by `le` alone."""
    return [prom(f"histogram_quantile({q}, {buckets_of_all})", f"p{q * 100:.0f}") for q in (0.5, 0.95, 0.99)]


def mean(histogram: str) -> Json:
    """Mean over the observations of a histogram."""
    sums, counts = (f"sum(rate({histogram}_{part}{{{MODEL}}}[$__rate_interval]))" for part in ("sum", "count"))
    return prom(ratio(sums, counts), "mean")


def ratio(part: str, whole: str) -> str:
    """Part of a whole; no value where there is no whole."""
    return f"{part} / ({whole} > 0)"


def state(metric: str, states: Iterable[str], selector: str, by: str) -> str:
    """A stateset as one number: 1 for the first of `states`, 2 for the second ... `state_mappings` names them again."""
    numbers = (
        f'{number} * ({metric}{{{selector},state="{name}"}} == 1)' for number, name in enumerate(states, start=1)
    )
    return f"max by ({by}) ({' or '.join(numbers)})"
