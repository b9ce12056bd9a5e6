"""Records as lines: whatever is in them, JSON of bounded length, and text that cannot move a terminal's cursor."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.logs.record import MAX_LINE, Record, cut, json_lines, text_lines

NAME = st.none() | st.text(max_size=64)
"""Components and functions, as the grammar bounds them."""
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.builds(object),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
"""Values of an event's own fields."""


@st.composite
def messages(draw: st.DrawFn) -> str:
    """Up to 60,000 characters, lone surrogates and NULs among them."""
    text = draw(st.text())
    return (text * (draw(st.integers(0, 60_000)) // max(1, len(text)) + 1))[:60_000]


@given(
    message=messages(),
    component=NAME,
    function=NAME,
    model=st.none() | st.text(max_size=256),
    number=st.none() | st.integers(),
    fields=st.none() | st.dictionaries(st.sampled_from(["count", "reason", "\ud800"]), ANY),
)
@example(message="x" * 2049, component="c" * 16_384, function=None, model=None, number=None, fields=None)
@example(message="\0" * 2000, component=None, function=None, model=None, number=None, fields={"reason": "r" * 9000})
@example(message="x" * 50_000, component="\0" * 64, function="\0" * 64, model="m" * 20_000, number=1, fields=None)
@settings(max_examples=150, deadline=None)
def test_any_record_becomes_lines_that_decode_and_whose_messages_add_up(
    message: str, component: str | None, function: str | None, model: str | None, number: int | None, fields: Any
) -> None:
    record = Record("t", "info", "llama-server", model, component, function, number, number, "e", message, fields)
    lines, count = json_lines([record, record])
    decoded = [json.loads(line) for line in lines.splitlines()]
    assert len(decoded) == count
    first = decoded[: count // 2]
    assert "".join(line["message"] for line in first) == message.encode("utf-8", "replace").decode()
    if len(first) > 1:
        assert [(line["part"], line["parts"]) for line in first] == [(n + 1, len(first)) for n in range(len(first))]
    others = len(json_lines([msgspec.structs.replace(record, message="")])[0])
    if others < (MAX_LINE // 5 if fields is None else MAX_LINE - 1024):
        assert all(len(line) < MAX_LINE for line in lines.splitlines())


def test_parts_are_as_long_as_they_may_be() -> None:
    record = Record("t", "info", "llama-server", message="x" * 100_000)
    assert len(cut(record)) == 7


@pytest.mark.parametrize("value", ["\ud800", {1, 2}, object(), 10**5000, {"a": ["\ud800"]}, Path("x")], ids=type)
def test_a_field_that_json_cannot_hold_costs_nothing_else(value: object) -> None:
    record = Record("t", "info", "exporter", event="e", message="kept", fields={"odd": value, "pid": 7})
    lines, count = json_lines([record])
    assert count == 1
    decoded = json.loads(lines)
    assert (decoded["message"], decoded["pid"]) == ("kept", 7)
    assert "odd" in decoded


def test_text_for_people() -> None:
    when = "2026-11-23T06:55:09.123456Z"
    records = [
        Record(when, "error", "llama-server", "tiny", "srv", "f", None, None, None, "a\nb\x1b[2J"),
        Record(when, "info", "exporter", event="e", message="m", fields={"pid": 7, "reason": "\x1b[2J\ud800"}),
    ]
    plain = text_lines(colour=False)(records)[0].decode()
    first, below, own = plain.splitlines()
    assert first.startswith("06:55:09.123 error tiny")
    assert below.strip().startswith("b")
    assert below.index("b") == first.index("a", 20)
    assert "m pid=7" in own
    assert "\x1b" not in plain
    assert text_lines(colour=True)(records)[0].decode().count("\x1b[31m") == 1
