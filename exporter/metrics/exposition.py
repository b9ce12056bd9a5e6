"""Families to bytes: the Prometheus text format 0.0.4, or OpenMetrics 1.0 when the `Accept` header names it.

A writer of our own: prometheus_client renames names with colons for some `Accept` headers, and llama-server's must not
change. Formats: https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://prometheus.io/docs/specs/om/open_metrics_spec/.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache

from exporter.metrics.families import Family, Kind

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT_KINDS: dict[Kind, str] = {"info": "gauge", "stateset": "gauge", "unknown": "untyped"}
OPENMETRICS_KINDS: dict[Kind, str] = {"stateset": "gauge"}  # theirs wants the label named as the family
SUFFIXES: dict[Kind, tuple[str, ...]] = {
    "counter": ("_total", "_created"),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "summary": ("_sum", "_count", "_created"),
    "info": ("_info",),
}
"""What OpenMetrics appends to the name of a family to name its samples."""
EXACT = 2.0**53
"""Below this every whole float is exactly one integer."""
LARGEST = sys.float_info.max
ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})
ACCEPTED = re.compile(r"application/openmetrics-text(?=\s*[;,]|\s*$)(?P<parameters>[^,]*)")


def negotiate(accept: str) -> str:
    """Return the content type for an `Accept` header: OpenMetrics if it is accepted at all, as Prometheus does."""
    found = ACCEPTED.search(accept)
    if found is None or re.search(r";\s*q=0(?:\.0*)?\s*(?:;|$)", found["parameters"]):
        return TEXT
    return OPENMETRICS


def occupied(name: str, kind: Kind) -> set[str]:
    """Return the names that no other family of a page may use, in either format."""
    base, kind = _openmetrics_head(name, kind)
    return {name, base, *(base + suffix for suffix in SUFFIXES.get(kind, ()))}


def label(name: str, value: str) -> str:
    """Return a label as both formats write it."""
    return f'{name}="{value.translate(ESCAPES)}"'


def render(families: Iterable[Family], content_type: str) -> bytes:
    """Return one page. Families of the same name are merged under the HELP and TYPE of the first."""
    groups: dict[str, list[Family]] = {}
    for family in families:
        groups.setdefault(family.name, []).append(family)
    write = _openmetrics if content_type == OPENMETRICS else _text
    parts = [part for group in groups.values() for part in write(group)]
    if content_type == OPENMETRICS:
        parts.append("# EOF")
    # A name of a file may hold bytes that are no text.
    return ("\n".join(parts) + "\n").encode(errors="replace")


def _text(group: list[Family]) -> Iterator[str]:
    first = group[0]
    lines = [line for family in group for line in (*_lines(family), *family.rendered.values())]
    if lines:
        if first.help:
            yield f"# HELP {first.name} {first.help.translate(HELP_ESCAPES)}"
        yield f"# TYPE {first.name} {TEXT_KINDS.get(first.kind, first.kind)}"
        yield from lines


def _openmetrics(group: list[Family]) -> Iterator[str]:
    first = group[0]
    lines = {first.name: [line for family in group for line in _lines(family)]}
    for family in group:
        for name, rendered in family.rendered.items():
            lines.setdefault(name, []).append(rendered)
    # A histogram or summary of llama-server may break rules that only OpenMetrics has: without a type there are none.
    typed = first.kind in ("counter", "gauge") or not any(family.rendered for family in group)
    for name, found in lines.items():
        if found:
            base, kind = _openmetrics_head(name, first.kind if typed and name == first.name else "unknown")
            yield f"# TYPE {base} {OPENMETRICS_KINDS.get(kind, kind)}"
            if first.help:
                yield f"# HELP {base} {first.help.translate(ESCAPES)}"
            yield from found


def _openmetrics_head(name: str, kind: Kind) -> tuple[str, Kind]:
    """Return name and kind of a family: without the suffix of its samples, and no counter that lacks `_total`."""
    suffix = {"counter": "_total", "info": "_info"}.get(kind, "")
    return (name.removesuffix(suffix), kind) if name.endswith(suffix) else (name, "gauge")


def _lines(family: Family) -> list[str]:
    """Return the lines of the exporter's own samples; none for a value that the kind or the formats do not allow."""
    lowest = 0.0 if family.kind in ("counter", "histogram") else -LARGEST
    lines = [
        f"{family.name}{suffix}{_labels(labels)} {_number(value)}"
        for suffix, labels, value in family.samples
        if lowest <= value <= LARGEST
    ]
    if family.kind == "histogram" and len(lines) < len(family.samples):
        return []  # half of a histogram is none
    return lines


@lru_cache(maxsize=8192)
def _labels(labels: tuple[tuple[str, str], ...]) -> str:
    """Return labels with their braces. They are kept: from scrape to scrape few change."""
    return f"{{{','.join([label(*pair) for pair in labels])}}}" if labels else ""


def _number(value: float) -> str:
    """Return the shortest form that keeps the number."""
    return str(int(value)) if abs(value) < EXACT and value == int(value) else repr(float(value))
