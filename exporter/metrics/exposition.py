"""Families to text: the Prometheus format 0.0.4, or OpenMetrics 1.0 for those who ask for it.

A writer of our own: prometheus_client renames names with colons for some `Accept` headers, and llama-server's must come
out unchanged for all. Formats: https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://prometheus.io/docs/specs/om/open_metrics_spec/.
"""

import math
import re
from collections.abc import Iterable

from exporter.metrics.families import Family, Kind, Sample

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT_KINDS: dict[Kind, str] = {"info": "gauge", "stateset": "gauge", "unknown": "untyped"}
OPENMETRICS_KINDS: dict[Kind, str] = {"stateset": "gauge"}  # theirs wants the label named as the family
EXACT = 2.0**53
"""Below this every whole float is exactly one integer."""
ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})
ACCEPTED = re.compile(r"application/openmetrics-text(?=\s*[;,]|\s*$)(?P<parameters>[^,]*)")


def negotiate(accept: str) -> str:
    """The content type for an `Accept` header: OpenMetrics if it is wanted at all, as Prometheus itself does."""
    found = ACCEPTED.search(accept)
    if found is None or re.search(r";\s*q=0(?:\.0*)?\s*(?:;|$)", found["parameters"]):
        return TEXT
    return OPENMETRICS


def render(families: Iterable[Family], content_type: str) -> bytes:
    """One page. Families of the same name are merged under the HELP and TYPE of the first; empty ones are left out."""
    openmetrics = content_type == OPENMETRICS
    lines: list[str] = []
    for family in merge(families):
        (_openmetrics if openmetrics else _text)(family, lines)
    if openmetrics:
        lines.append("# EOF")
    return ("\n".join(lines) + "\n").encode()


def merge(families: Iterable[Family]) -> list[Family]:
    """One family a name, in order of first appearance."""
    merged: dict[str, Family] = {}
    for family in families:
        if not family.samples:
            continue
        if first := merged.get(family.name):
            merged[family.name] = Family(first.name, first.kind, first.help, first.samples + family.samples)
        else:
            merged[family.name] = family
    return list(merged.values())


def _text(family: Family, lines: list[str]) -> None:
    if family.help:
        lines.append(f"# HELP {family.name} {family.help.translate(HELP_ESCAPES)}")
    lines.append(f"# TYPE {family.name} {TEXT_KINDS.get(family.kind, family.kind)}")
    lines.extend(_line(family.name, sample) for sample in family.samples)


def _openmetrics(family: Family, lines: list[str]) -> None:
    """OpenMetrics names a family without the suffix of its samples, and forbids a counter that has no `_total`."""
    name, kind = family.name, family.kind
    if kind == "counter" and not name.endswith("_total"):
        kind = "gauge"
    base = name
    if kind == "counter":
        base = name.removesuffix("_total")
    elif kind == "info":
        base = name.removesuffix("_info")
    lines.append(f"# TYPE {base} {OPENMETRICS_KINDS.get(kind, kind)}")
    if family.help:
        lines.append(f"# HELP {base} {family.help.translate(ESCAPES)}")
    lines.extend(_line(name, sample) for sample in family.samples)


def _line(name: str, sample: Sample) -> str:
    if not sample.labels:
        return f"{name}{sample.suffix} {_number(sample.value)}"
    labels = ",".join(f'{key}="{value.translate(ESCAPES)}"' for key, value in sample.labels)
    return f"{name}{sample.suffix}{{{labels}}} {_number(sample.value)}"


def _number(value: float | str) -> str:
    """Our numbers in the shortest form that keeps them; foreign ones as they came, but for the words of infinity."""
    if isinstance(value, str):
        low = value.lower().lstrip("+-")
        if low in ("inf", "infinity"):
            return "-Inf" if value.startswith("-") else "+Inf"
        return "NaN" if low == "nan" else value
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < EXACT else repr(float(value))
