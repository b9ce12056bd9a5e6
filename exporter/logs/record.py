"""One log record: the schema of a line on stdout."""

from collections.abc import Callable, Mapping
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


SECOND = 1_000_000
THREE = tuple(f"{number:03d}" for number in range(1000))
"""Three digits of each: to look them up takes less than half the time of formatting six."""


class Clock:
    """Stamps the records of one pipe, whose writers are a server, or a router's children by their port.

    `now` gives the wall clock in microseconds. A line is read after it was written, so the earliest beginning that the
    lines allow is the true one, or a little later. Times of a writer never go back, and none is in the future.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._clock = now
        self._now = 0
        self._writers: dict[int | None, list[int]] = {}
        """When each began, and the time of its last line."""
        self._second = -SECOND
        self._text = ""

    def read(self) -> None:
        """The next lines have been read now."""
        self._now = self._clock()

    def stamp(self, writer: int | None, offset: int | None) -> str:
        """The time of a line as RFC 3339, by `offset`, its microseconds since the writer began, where it tells them."""
        state = self._writers.get(writer)
        if state is None:
            self._writers[writer] = state = [self._now - (offset or 0), 0]
        if offset is None:
            now = self._now
        else:
            now = state[0] + offset
            if now > self._now:
                state[0] = self._now - offset
                now = self._now
        if now < state[1]:
            now = state[1]
        else:
            state[1] = now
        micro = now - self._second
        if not 0 <= micro < SECOND:
            micro = now % SECOND
            self._second = now - micro
            self._text = timestamp(self._second // SECOND)[:-7]
        return f"{self._text}{THREE[micro // 1000]}{THREE[micro % 1000]}Z"
