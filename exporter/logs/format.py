"""The line formats of llama-server, from any build since May 2025, as an ordered table of patterns.

Sources: `common/log.cpp` (prefix: minutes.seconds.millis.micros since start, level letter) and the LOG macros
of `tools/server/server.cpp` (component in 4 columns, function in 12, then slot and task), and captured output.

Names have at most 64 characters and numbers as many digits as fit their use: what is longer is text. Every pattern
takes time linear in the length of the line.
"""

import re
from typing import Annotated, NamedTuple

import msgspec

from exporter.logs.record import Level, Record


class Pattern(NamedTuple):
    """A row of the table. The sample is the test."""

    name: str
    regex: re.Pattern[str]
    sample: str


CHILD = Pattern("router child", re.compile(r"\[(\d{1,5})\] ?"), "[41381] 0.00.001.088 I srv  llama_server: hello")
PREFIX = Pattern(
    "time and level",
    re.compile(r"(\d{1,8}\.\d\d)\.(\d\d\d)\.(\d\d\d) ([IWED]) "),
    "0.04.014.844 I slot print_timing: id  0 | task 0 | total time = 5 ms",
)
BODIES = (
    Pattern(
        "slot",
        re.compile(r"slot +([^\s:]{1,64}): id +(-?\d{1,9}) \| task (-?\d{1,15}) \| ?"),
        "slot      release: id  1 | task 93 | stop processing: n_tokens = 1940, truncated = 0",
    ),
    Pattern(
        "component",
        re.compile(r"(srv|cmn|que|res|slot|spec|main|mtmd) +([^\s:]{1,64}): "),
        "srv  log_server_r: request: GET /health 127.0.0.1 200",
    ),
    Pattern(
        "function",
        re.compile(r"([A-Za-z_]\w{0,63}): +"),
        "llama_context: n_ctx         = 4096",
    ),
)
TIMING = Pattern(
    "bare timing",
    re.compile(r" *(?:(?:prompt eval|eval|total) time|draft acceptance(?: rate)?) ="),
    "prompt eval time =       0.49 ms /    13 tokens (    0.04 ms per token, 26476.58 tokens per second)",
)
UNENDED = Pattern(
    "line that llama-server forgot to end",
    re.compile(
        rf"(?m)^((?:{CHILD.regex.pattern.replace('(', '(?:')})?)"
        r"(.*?pure content(?: parser| template, will not render reasoning or tools separately)?\.)(?=.)"
    ),
    "0.00.049.766 D No parser definition detected, assuming pure content parser.0.00.049.788 I srv  stop: hello",
)
COMPONENTS = frozenset({"srv", "cmn", "que", "res", "slot", "spec", "main", "mtmd"})
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
LETTERS: dict[str, Level] = {"I": "info", "W": "warn", "E": "error", "D": "debug"}
WORDS: dict[str, Level] = {"info": "info", "warn": "warn", "error": "error", "debug": "debug"}
INFERRED = re.compile(r"(?i)(?:\w++: )?(?:(error)|(warn(?:ing)?))\b")
LINE = re.compile(
    f"(?:{CHILD.regex.pattern})?(?:{PREFIX.regex.pattern})?"
    f"((?:{'|'.join(pattern.regex.pattern for pattern in BODIES)})?(.*))\n"
)
"""The table as one pattern that matches every line, so that a block of lines costs one search in C."""


class ParsedLine(NamedTuple):
    """What `LINE` finds in one line; "" is what the line does not have.

    `child` is the port of the router's child that wrote it. `second` (minutes.seconds), `milli` and `micro` are its age
    and `letter` its level, in lines that have a prefix. `raw` is all behind the prefix. `function`, `slot` and `task`
    are those of a slot's line; `component` and `its_function` of another component's; `other` is a function that names
    no component. `message` is the rest.
    """

    child: str
    second: str
    milli: str
    micro: str
    letter: str
    raw: str
    function: str
    slot: str
    task: str
    component: str
    its_function: str
    other: str
    message: str

    def record(self) -> Record:
        """Return what the line says as a record, without time, level and model."""
        if self.function:
            slot, task = int(self.slot), int(self.task)
            return Record("", "info", "llama-server", None, "slot", self.function, slot, task, None, self.message)
        component, function = self.component or self.other or None, self.its_function or None
        return Record("", "info", "llama-server", None, component, function, message=self.message)


class JsonLine(msgspec.Struct):
    """A line of `--log-jsonl`; `time` in microseconds since start. Other types than `log` have other keys."""

    type: Annotated[str, msgspec.Meta(max_length=64)]
    time: float | None = None
    level: str | None = None
    msg: str | None = None

    def record(self, raw: str) -> Record:
        """Return what the line says as a record, without time and model; `raw` is the whole line."""
        if self.type != "log" or self.msg is None:
            return Record("", "info", "llama-server", component=self.type, message=raw)
        first, newline, rest = self.msg.rstrip("\n").partition("\n")
        record = ParsedLine._make(LINE.findall(first + "\n")[0]).record()
        record.message += newline + rest
        record.level = WORDS.get(self.level or "", "info")
        return record


_json = msgspec.json.Decoder(JsonLine)


def parse(block: str) -> list[tuple[str, ...]]:
    """Return the lines of a block of whole lines, each as the values of `ParsedLine`. Every text is a line."""
    if "\x1b" in block:
        block = ANSI.sub("", block)
    if "\r" in block:
        block = block.replace("\r\n", "\n")
    if "pure content" in block:
        block = UNENDED.regex.sub(r"\1\2\n\1", block)
    return LINE.findall(block)


def parse_json(raw: str) -> JsonLine | None:
    """Parse a line of `--log-jsonl`; None when it is another."""
    if not raw.startswith('{"type":'):
        return None
    try:
        return _json.decode(raw)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None


def microseconds(second: str) -> int:
    """Return the microseconds of a line's minutes.seconds."""
    minutes, seconds = second.split(".")
    return (int(minutes) * 60 + int(seconds)) * 1_000_000


def infer(text: str) -> Level:
    """Return the level of a line that has none: other than info only where its text says so."""
    found = INFERRED.match(text)
    if found is None:
        return "info"
    return "error" if found[1] else "warn"
