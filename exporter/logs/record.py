"""One log record: the schema of a line on stdout."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

import msgspec

Level = Literal["debug", "info", "warn", "error"]
LEVELS: tuple[Level, ...] = ("debug", "info", "warn", "error")
Source = Literal["llama-server", "exporter"]


class Record(msgspec.Struct, omit_defaults=True, gc=False):
    """A record in the order of its JSON keys; what is unknown is None and left out.

    `time` is RFC 3339 in UTC with microseconds. `slot` and `task` are llama-server's ids. `fields` are an event's own,
    written behind `message` as keys of the same object. Records are in no cycles, so the collector need not look.
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
    message: str = msgspec.field(default_factory=str)  # a plain default of "" would leave an empty message out
    fields: dict[str, object] | None = None

    def more(self) -> Mapping[str, object]:
        """What follows the message: an event's own, those that are unknown left out."""
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
        """What it was and what it cost, as far as it is known."""
        values = {name: getattr(self, name) for name in FinishedRequest.__annotations__}
        return {name: value for name, value in values.items() if value is not None}


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
