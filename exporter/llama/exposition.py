"""Read the Prometheus text format as llama-server writes it, losing nothing and believing nothing.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/ (text version 0.0.4). A reader of our own, because
the one of prometheus_client renames counters that lack `_total`, and gives up the page at the first bad line.
"""

import math
import re
from collections.abc import Iterable

from exporter.metrics.families import Family, Kind, Sample

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\.)*"'
SAMPLE = re.compile(
    rf"(?P<name>{NAME})[ \t]*(?:\{{[ \t]*(?P<labels>{LABEL}(?:[ \t]*,[ \t]*{LABEL})*)?[ \t]*,?[ \t]*\}})?"
    r"[ \t]*(?P<value>[^ \t#]+)(?:[ \t]+-?[\d.]+)?"
    r"(?:[ \t]+# \{.*)?[ \t]*"  # an exemplar, which OpenMetrics has
)
LABEL_PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\.)*)"')
COMMENT = re.compile(rf"#[ \t]*(?P<what>HELP|TYPE)[ \t]+(?P<name>{NAME})(?:[ \t]+(?P<text>.*))?")
VALUE = re.compile(r"[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|(?P<word>[Ii]nf(?:inity)?|[Nn]a[Nn]))")
KINDS: dict[str, Kind] = {
    "counter": "counter",
    "gauge": "gauge",
    "histogram": "histogram",
    "summary": "summary",
    "untyped": "unknown",
    # OpenMetrics:
    "unknown": "unknown",
    "info": "unknown",
    "stateset": "unknown",
    "gaugehistogram": "unknown",
}
SUFFIXES: dict[Kind, tuple[str, ...]] = {
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
}
UNESCAPE = {r"\\": "\\", r"\"": '"', r"\n": "\n"}
ESCAPED = re.compile(r'\\[\\"n]')


def read(text: str) -> tuple[list[Family], int]:
    """The families of a page in their order, and the number of lines that are none of the format.

    A family whose lines are partly bad keeps its good ones. Timestamps are dropped, since a sample is of now, and
    exemplars, which the text format does not have. OpenMetrics is read as well, whatever the content type claims.
    """
    families: dict[str, Family] = {}
    bad = 0
    for raw in text.split("\n"):
        line = raw.strip("\r \t")
        if not line:
            continue
        if line.startswith("#"):
            if found := COMMENT.fullmatch(line):
                bad += not _describe(families, found["name"], found["what"], found["text"] or "")
            continue
        found = SAMPLE.fullmatch(line)
        if found is None or not _is_number(found["value"]):
            bad += 1
            continue
        pairs = LABEL_PAIR.findall(found["labels"] or "")
        names = {name for name, _ in pairs}
        if len(names) < len(pairs) or "__name__" in names:  # Prometheus would refuse the whole page for it
            bad += 1
            continue
        family, suffix = _family_of(families, found["name"])
        labels = tuple((name, ESCAPED.sub(lambda m: UNESCAPE[m[0]], value)) for name, value in pairs)
        family.samples.append(Sample(suffix, labels, found["value"]))
    for family in families.values():
        if not all(_fits(family.kind, sample) for sample in family.samples):
            family.kind = "unknown"  # a parser that takes types at their word would refuse the whole page
    return [family for family in families.values() if family.samples], bad


def _fits(kind: Kind, sample: Sample) -> bool:
    """True unless the sample is none of those that a histogram or a summary has."""
    if kind == "histogram":
        bound, has = "le", sample.suffix == "_bucket"
    elif kind == "summary":
        bound, has = "quantile", not sample.suffix
    else:
        return True
    bounds = [value for name, value in sample.labels if name == bound]
    known = bool(sample.suffix) or kind == "summary"
    return known and len(bounds) == has and all(_is_number(value) for value in bounds)


def _is_number(text: str) -> bool:
    """True for a value of the format. Digits that no float can hold make Prometheus refuse the whole page."""
    found = VALUE.fullmatch(text)
    return found is not None and (found["word"] is not None or math.isfinite(float(text)))


def _describe(families: dict[str, Family], name: str, what: str, text: str) -> bool:
    """Take a HELP or TYPE line; False for a type that does not exist."""
    family = families.setdefault(name, Family(name, "unknown", ""))
    if what == "HELP":
        family.help = text.replace(r"\n", "\n").replace(r"\\", "\\")
        return True
    family.kind = KINDS.get(text.strip(), "unknown")
    return text.strip() in KINDS


def _family_of(families: dict[str, Family], name: str) -> tuple[Family, str]:
    """The family that a sample's name belongs to, and what the name has beyond the family's."""
    if name in families:
        return families[name], ""
    for suffix in ("_bucket", "_sum", "_count"):
        base = families.get(name.removesuffix(suffix))
        if base is not None and base.name != name and suffix in SUFFIXES.get(base.kind, ()):
            return base, suffix
    head = families.get(name.removesuffix("_total"))
    if head is not None and head.kind == "counter" and not head.samples and name.endswith("_total"):
        return families.setdefault(name, Family(name, "counter", head.help)), ""  # OpenMetrics names it without
    return families.setdefault(name, Family(name, "unknown", "")), ""


def with_model(families: Iterable[Family], model: str) -> list[Family]:
    """The same families with a `model` label on every sample that has none of its own."""
    label = ("model", model)
    return [
        Family(
            family.name,
            family.kind,
            family.help,
            [
                sample
                if any(name == "model" for name, _ in sample.labels)
                else sample._replace(labels=(*sample.labels, label))
                for sample in family.samples
            ],
        )
        for family in families
    ]
