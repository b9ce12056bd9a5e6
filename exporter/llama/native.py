"""Read llama-server's `GET /metrics`: any bytes, in linear time and bounded memory, keeping what is in the format.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/ (text version 0.0.4). A reader of our own, because
prometheus_client's renames counters that lack `_total` and gives up the page at the first bad line.
"""

import io
import math
import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Literal

import msgspec

from exporter.llama.api import UpstreamError

MAX_LINE = 16 * 1024
"""Bytes of a line. Longer ones are bad."""
MAX_LINES = 1_000_000
MAX_SAMPLES = 200_000
MAX_FAMILIES = 10_000
MAX_JSON = 1024 * 1024
"""Bytes of a page that is one JSON string, as builds b7010 to b7100 answer; theirs have 3 kB."""

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*+"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*+="(?:[^"\\\n]|\\.)*+"[ \t]*+'
# Possessive quantifiers (`*+`) never backtrack, which is what keeps every line linear.
SAMPLE = re.compile(
    rf"(?P<name>{NAME})(?:[ \t]*+\{{[ \t]*+(?P<labels>(?:{LABEL},[ \t]*+)*+(?:{LABEL})?+)\}}[ \t]*+|[ \t]++)"
    r"(?P<value>[^ \t#]++)(?:[ \t]++-?[0-9.]++)?+"  # a timestamp, dropped: a sample is of now
    r"(?:[ \t]++# \{.*)?"  # an exemplar of OpenMetrics, which the text format does not have
)
PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*+)="((?:[^"\\\n]|\\.)*+)"')
COMMENT = re.compile(rf"#[ \t]*+(?P<what>HELP|TYPE)[ \t]++(?P<name>{NAME})(?:[ \t]++(?P<text>.*))?")
NUMBER = re.compile(r"[+-]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?")
WORD = re.compile(r"(?P<sign>[+-]?)(?:(?P<infinite>inf(?:inity)?)|nan)", re.IGNORECASE)
ESCAPE = re.compile(r"\\(.)")

Kind = Literal["counter", "gauge", "histogram", "summary", "unknown"]
KINDS: dict[str, Kind] = {"counter": "counter", "gauge": "gauge", "histogram": "histogram", "summary": "summary"}
UNKNOWN = ("untyped", "unknown", "info", "stateset", "gaugehistogram")
SUFFIXES: dict[Kind, tuple[str, ...]] = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}


@dataclass(slots=True)
class NativeFamily:
    """All samples under one HELP and TYPE.

    `samples` maps what stands before the value (`name`, or `name{label="text",...}` with the labels sorted) to the text
    of the value, so that no digit is lost.
    """

    name: str
    kind: Kind = "unknown"
    help: str = ""
    samples: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NativePage:
    """Families by name, in the order of the page, and the number of lines that were left out."""

    families: dict[str, NativeFamily]
    bad_lines: int

    def value(self, name: str) -> float | None:
        """Return the value of a family that has one sample; None without it, and for NaN and infinity."""
        values = list(self.families[name].samples.values()) if name in self.families else []
        return float(values[0]) if len(values) == 1 and math.isfinite(float(values[0])) else None


def read(body: bytes) -> NativePage:
    """Parse a page, OpenMetrics too, whatever the content type claims. Raise `UpstreamError` if it has no sample.

    Bad lines cost a family only themselves. Bad are also lines that are too long or too many, and a sample that is on
    the page already, for which Prometheus would refuse the page.
    """
    text = body
    if body.startswith(b'"') and len(body) <= MAX_JSON:
        with suppress(msgspec.DecodeError):
            text = msgspec.json.decode(body, type=str).encode("utf-8", "replace")
    reader = _Reader()
    stream = io.BytesIO(text)
    for line in islice(iter(partial(stream.readline, MAX_LINE + 1), b""), MAX_LINES):
        if len(line) > MAX_LINE:
            reader.bad += 1
            end = text.find(b"\n", stream.tell() - 1)
            stream.seek(end + 1 if end >= 0 else len(text))
        else:
            # A NUL is the end of the page to Prometheus.
            reader.take(line.decode("utf-8", "replace").replace("\0", "\ufffd").strip("\r\n \t"))
    families = {name: family for name, family in reader.families.items() if family.samples}
    if not families:
        raise UpstreamError(f"GET /metrics answered {len(body)} bytes without a metric: {body[:40]!r}")
    for family in families.values():
        if not all(_fits(family, sample, value) for sample, value in family.samples.items()):
            family.kind = "unknown"  # a parser that takes types at their word would refuse the whole page
    return NativePage(families, reader.bad + text.count(b"\n", stream.tell()))


class _Reader:
    """Takes the lines of a page one by one."""

    def __init__(self) -> None:
        self.families: dict[str, NativeFamily] = {}
        self.bad = 0
        self._samples = 0

    def take(self, line: str) -> None:
        """Take a line without blanks around it."""
        if line.startswith("#"):
            if found := COMMENT.fullmatch(line):
                self._describe(found["name"], found["what"], found["text"] or "")
        elif line and not ((found := SAMPLE.fullmatch(line)) and self._add(found)):
            self.bad += 1

    def _describe(self, name: str, what: str, text: str) -> None:
        family = self._named(name)
        if family is not None and what == "HELP":
            family.help = ESCAPE.sub(lambda found: {"n": "\n", "\\": "\\"}.get(found[1], found[0]), text)
        elif family is not None:
            family.kind = KINDS.get(text, "unknown")
            self.bad += text not in KINDS and text not in UNKNOWN

    def _add(self, found: re.Match[str]) -> bool:
        """Add a sample; return whether it is good."""
        name, value = found["name"], _number(found["value"])
        pairs = PAIR.findall(found["labels"] or "")
        labels = {label for label, _ in pairs}
        # Prometheus refuses the whole page for a label that comes twice.
        if value is None or len(labels) < len(pairs) or "__name__" in labels or self._samples >= MAX_SAMPLES:
            return False
        family = self._family_of(name)
        # A label without text is no label to Prometheus.
        written = ",".join(sorted(f'{label}="{ESCAPE.sub(_known, text)}"' for label, text in pairs if text))
        sample = f"{name}{{{written}}}" if written else name
        if family is None or sample in family.samples:
            return False
        family.samples[sample] = value
        self._samples += 1
        return True

    def _family_of(self, name: str) -> NativeFamily | None:
        """Return the family that a sample of this name belongs to."""
        if name in self.families:
            return self.families[name]
        for suffix in SUFFIXES["histogram"]:
            base = self.families.get(name.removesuffix(suffix))
            if base is not None and suffix in SUFFIXES.get(base.kind, ()):
                return base
        family = self._named(name)
        head = self.families.get(name.removesuffix("_total"))
        if family is not None and head is not None and head.kind == "counter" and not head.samples:
            family.kind, family.help = "counter", head.help  # OpenMetrics names a counter's family without `_total`
        return family

    def _named(self, name: str) -> NativeFamily | None:
        """Return the family of this name, a new one if need be; None when there are too many."""
        family = self.families.get(name)
        if family is None and len(self.families) < MAX_FAMILIES:
            family = self.families[name] = NativeFamily(name)
        return family


def _number(text: str) -> str | None:
    """Return a value as the format has it, digits unchanged; None for what Prometheus could not read."""
    if NUMBER.fullmatch(text):
        return text if math.isfinite(float(text)) else None
    word = WORD.fullmatch(text)
    if word is None:
        return None
    return f"{word['sign'] or '+'}Inf" if word["infinite"] else "NaN"


def _known(found: re.Match[str]) -> str:
    """Return an escape that the format has: any other is a backslash of the text."""
    return found[0] if found[1] in '\\"n' else f"\\{found[0]}"


def _fits(family: NativeFamily, sample: str, value: str) -> bool:
    """Return whether a sample is one that a counter, histogram or summary can have."""
    if family.kind == "counter":
        return float(value) >= 0 and family.name != "_total"
    name, _, labels = sample.partition("{")
    if family.kind == "histogram":
        bound, has_bound = "le", name == f"{family.name}_bucket"
    elif family.kind == "summary":
        bound, has_bound = "quantile", name == family.name
    else:
        return True
    bounds = [text for label, text in PAIR.findall(labels) if label == bound]
    is_known = name != family.name or family.kind == "summary"
    return is_known and len(bounds) == has_bound and all(_number(text) for text in bounds)
