"""One log record: the schema of a line on stdout, and its encodings as JSON and as text."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

Level = Literal["debug", "info", "warn", "error"]
LEVELS: tuple[Level, ...] = ("debug", "info", "warn", "error")
LogSource = Literal["llama-server", "exporter"]


class Record(msgspec.Struct, omit_defaults=True, gc=False):
    """A record in the order of its JSON keys; what is unknown is None and left out.

    `time` is RFC 3339 in UTC with microseconds. `slot` and `task` are llama-server's ids. `fields` are an event's own,
    written behind `message` as keys of the same object. Records are in no cycles, so the collector need not look.
    """

    time: str
    level: Level
    source: LogSource
    model: str | None = None
    component: str | None = None
    function: str | None = None
    slot: int | None = None
    task: int | None = None
    event: str | None = None
    message: str = msgspec.field(default_factory=str)  # a plain default of "" would leave an empty message out
    fields: dict[str, object] | None = None

    def more(self) -> Mapping[str, object]:
        """Return what follows the message: an event's own fields, without those that are unknown."""
        return {name: value for name, value in (self.fields or {}).items() if value is not None}


class FinishedRequest(Record):
    """The `request_finished` record. Its fields are declared because it is frequent, and so encoded with the others."""

    outcome: str | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    generation_tokens: int | None = None
    prompt_seconds: float | None = None
    generation_seconds: float | None = None
    total_seconds: float | None = None
    tokens_per_second: float | None = None

    def more(self) -> Mapping[str, object]:
        """Return the outcome and the costs, as far as they are known."""
        values = {name: getattr(self, name) for name in FinishedRequest.__annotations__}
        return {name: value for name, value in values.items() if value is not None}


def timestamp(seconds: float) -> str:
    """Return seconds since the epoch as RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


MAX_LINE = 16 * 1024
"""Bytes of a JSON line at most, its newline included: Docker splits longer ones."""
SHORT = 2048
"""Characters of a message that never make a line too long: each takes six bytes at most."""
MIN_PIECE = 512
"""Bytes of the message in each part, whatever the size of the other fields: so cutting always ends."""

Encoder = Callable[[Sequence[Record]], tuple[bytes, int]]
"""Records to bytes, and the number of lines in them."""
_encode = msgspec.json.Encoder().encode
_encode_lines = msgspec.json.Encoder().encode_lines


def json_lines(records: Sequence[Record]) -> tuple[bytes, int]:
    """Encode records as JSON lines; one that would be too long as several, numbered by `part` of `parts`."""
    try:
        return _json_lines(records)
    except (TypeError, ValueError):  # a lone surrogate, or a field that JSON cannot hold
        return _json_lines([_encodable(record) for record in records])


def _json_lines(records: Sequence[Record]) -> tuple[bytes, int]:
    blocks: list[bytes] = []
    count = plain = 0
    for index, record in enumerate(records):
        if record.fields is None and len(record.message) <= SHORT:
            continue
        pieces = [_json_line(piece) for piece in cut(record)]
        blocks += (_encode_lines(records[plain:index]), *pieces)
        count += index - plain + len(pieces)
        plain = index + 1
    blocks.append(_encode_lines(records[plain:]))
    return b"".join(blocks), count + len(records) - plain


def _json_line(record: Record) -> bytes:
    if not record.fields:
        return _encode(msgspec.structs.replace(record, fields=None)) + b"\n"
    head = _encode(msgspec.structs.replace(record, fields=None))
    return head[:-1] + b"," + _encode(record.fields)[1:] + b"\n"


def cut(record: Record) -> Sequence[Record]:
    """Split a record so that each line is within `MAX_LINE`; the messages of the parts add up to its message.

    The other fields are in every part. Lines are longer than `MAX_LINE` only if those fields alone fill it.
    """
    if len(_json_line(record)) <= MAX_LINE:
        return (record,)
    message, pieces = record.message, []
    others = len(_json_line(msgspec.structs.replace(record, message=""))) + len(',"part":100000,"parts":100000')
    room = max(MIN_PIECE, MAX_LINE - others)
    begin = 0
    while begin < len(message):
        size = room
        while len(_encode(message[begin : begin + size])) - 2 > room:  # never at 85 characters: 6 bytes each fit
            size //= 2
        pieces.append(message[begin : begin + size])
        begin += size
    fields = record.fields or {}
    return [
        msgspec.structs.replace(record, message=piece, fields={**fields, "part": number, "parts": len(pieces)})
        for number, piece in enumerate(pieces, 1)
    ]


def _encodable(record: Record) -> Record:
    """Replace what JSON cannot hold: lone surrogates by "?", other values by the name of their type."""
    texts = {name: value for name, value in msgspec.structs.asdict(record).items() if isinstance(value, str)}
    changes: dict[str, object] = {name: _without_surrogates(text) for name, text in texts.items()}
    if record.fields is not None:
        fields = record.fields.items()
        changes["fields"] = {_without_surrogates(name): _encodable_value(value) for name, value in fields}
    return msgspec.structs.replace(record, **changes)


def _encodable_value(value: object) -> object:
    if isinstance(value, str):
        return _without_surrogates(value)
    try:
        _encode(value)
    except (TypeError, ValueError):
        return type(value).__name__
    return value


def _without_surrogates(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


COLOURS: dict[Level, str] = {"debug": "\x1b[2m", "info": "", "warn": "\x1b[33m", "error": "\x1b[31m"}
RESET = "\x1b[0m"
CONTROL = dict.fromkeys((*range(9), *range(11, 32), *range(127, 160)), "�")
"""What could move a terminal's cursor or change its title is not passed on to it."""
INDENT = " " * 27
"""Where the lines of a message stand below its first."""


def text_lines(*, colour: bool) -> Encoder:
    """Return an encoder for people at a terminal: time of day (UTC), level, source, message, an event's own fields."""

    def encode_text(records: Sequence[Record]) -> tuple[bytes, int]:
        lines = [_text(record, colour=colour) for record in records]
        return "".join(lines).encode("utf-8", "replace"), len(lines)

    return encode_text


def _text(record: Record, *, colour: bool) -> str:
    who = record.model or ("" if record.source == "llama-server" else record.source)
    where = f"slot {record.slot} task {record.task} | " if record.slot is not None else ""
    fields = "".join(f" {key}={value}" for key, value in record.more().items())
    text = f"{who:<8}{where}{record.message}{fields}".translate(CONTROL).replace("\n", f"\n{INDENT}")
    begin = COLOURS[record.level] if colour else ""
    return f"{begin}{record.time[11:23]} {record.level:<5} {text}{RESET if begin else ''}\n"
