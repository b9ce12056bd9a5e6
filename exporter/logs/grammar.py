"""The line formats of llama-server, from any build since May 2025, as an ordered table of patterns.

Sources: `common/log.cpp` (prefix: minutes.seconds.millis.micros since start, level letter) and the LOG macros
of `tools/server/server.cpp` (component in 4 columns, function in 12, then slot and task), and captured output.
"""

import re
from typing import NamedTuple

import msgspec

from exporter.logs.record import Level


class Line(NamedTuple):
    """What one line says. `child` is the port of the router's child that wrote it; `offset` seconds since its start.

    `continues`: the line has no prefix of its own, so that it may belong to the record above; `raw` is then its text.
    """

    level: Level
    component: str | None
    function: str | None
    slot: int | None
    task: int | None
    message: str
    child: int | None
    offset: float | None
    continues: bool
    raw: str


class Pattern(NamedTuple):
    """A row of the table. The sample is the test."""

    name: str
    regex: re.Pattern[str]
    sample: str


CHILD = Pattern("router child", re.compile(r"\[(\d{1,5})\] ?"), "[41381] 0.00.001.088 I srv  llama_server: hello")
PREFIX = Pattern(
    "time and level",
    re.compile(r"(\d+)\.(\d\d)\.(\d\d\d)\.(\d\d\d) ([IWED]) "),
    "0.04.014.844 I slot print_timing: id  0 | task 0 | total time = 5 ms",
)
BODIES = (
    Pattern(
        "slot",
        re.compile(r"(?P<component>slot) +(?P<function>[^\s:]+): id +(?P<slot>-?\d+) \| task (?P<task>-?\d+) \| ?"),
        "slot      release: id  1 | task 93 | stop processing: n_tokens = 1940, truncated = 0",
    ),
    Pattern(
        "component",
        re.compile(r"(?P<component>srv|cmn|que|slot|spec|main|mtmd) +(?P<function>[^\s:]+): "),
        "srv  log_server_r: request: GET /health 127.0.0.1 200",
    ),
    Pattern(
        "function",
        re.compile(r"(?P<component>[A-Za-z_]\w*): +"),
        "llama_context: n_ctx         = 4096",
    ),
)
TIMING = Pattern(
    "bare timing",
    re.compile(r" *(?:(?:prompt eval|eval|total) time|draft acceptance(?: rate)?) ="),
    "prompt eval time =       0.49 ms /    13 tokens (    0.04 ms per token, 26476.58 tokens per second)",
)
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
LETTERS: dict[str, Level] = {"I": "info", "W": "warn", "E": "error", "D": "debug"}
WORDS: dict[str, Level] = {"info": "info", "warn": "warn", "error": "error", "debug": "debug"}
INFERRED = re.compile(r"(?i)(?:\w+: )?(?:(error)|(warn(?:ing)?))\b")


class _JsonLine(msgspec.Struct):
    """A line of `--log-jsonl`. Other types than `log` have other keys."""

    type: str
    time: float | None = None
    level: str | None = None
    msg: str | None = None


_json = msgspec.json.Decoder(_JsonLine)


def parse(text: str) -> Line:
    """Read one line (without its newline). Every text is a line: what no pattern knows is passed on whole."""
    if "\x1b" in text:
        text = ANSI.sub("", text)
    child = None
    if text.startswith("[") and (found := CHILD.regex.match(text)):
        child, text = int(found[1]), text[found.end() :]
    if text.startswith('{"type":') and (line := _parse_json(text, child)):
        return line
    if found := PREFIX.regex.match(text):
        minutes, seconds, millis, micros, letter = found.groups()
        offset = int(minutes) * 60 + int(seconds) + int(millis) / 1e3 + int(micros) / 1e6
        return _parse_body(text[found.end() :], LETTERS[letter], child, offset, continues=False)
    return _parse_body(text, None, child, None, continues=True)


def _parse_json(text: str, child: int | None) -> Line | None:
    try:
        line = _json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    if line.type != "log" or line.msg is None:
        return Line("info", line.type, None, None, None, text, child, None, continues=False, raw=text)
    offset = None if line.time is None else line.time / 1e6
    level = WORDS.get(line.level or "", "info")
    return _parse_body(line.msg.rstrip("\n"), level, child, offset, continues=False)


def _parse_body(text: str, level: Level | None, child: int | None, offset: float | None, *, continues: bool) -> Line:
    for pattern in BODIES:
        if found := pattern.regex.match(text):
            groups = found.groupdict()
            slot, task = groups.get("slot"), groups.get("task")
            return Line(
                level or _infer(text),
                groups["component"],
                groups.get("function"),
                None if slot is None else int(slot),
                None if task is None else int(task),
                text[found.end() :],
                child,
                offset,
                continues,
                text,
            )
    return Line(level or _infer(text), None, None, None, None, text, child, offset, continues, text)


def _infer(text: str) -> Level:
    """The level of a line that has none, only where its text says so."""
    found = INFERRED.match(text)
    if found is None:
        return "info"
    return "error" if found[1] else "warn"
