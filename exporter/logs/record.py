"""One log record: the schema of a line on stdout."""

from datetime import UTC, datetime
from typing import Literal

import msgspec

Level = Literal["debug", "info", "warn", "error"]
LEVELS: tuple[Level, ...] = ("debug", "info", "warn", "error")
Source = Literal["llama-server", "exporter"]


class Record(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A record in the order of its JSON keys; what is unknown is None and left out.

    `time` is RFC 3339 in UTC with microseconds. `slot` and `task` are llama-server's ids. `fields` are an event's own,
    written behind `message` as keys of the same object.
    """

    time: str
    level: Level
    source: Source
    model: str | None = None
    component: str | None = None
    function: str | None = None
    slot: int | None = None
    task: int | None = None
    event: str | None = None
    message: str
    fields: dict[str, object] | None = None


_encoder = msgspec.json.Encoder()


def encode(record: Record) -> bytes:
    """The record as one JSON line, newline included."""
    fields = record.fields
    if fields is None:
        return _encoder.encode(record) + b"\n"
    head = _encoder.encode(msgspec.structs.replace(record, fields=None))
    return head[:-1] + b"," + _encoder.encode(fields)[1:] + b"\n" if fields else head + b"\n"


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
