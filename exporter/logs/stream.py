"""The one log stream: llama-server's records and the exporter's own meet here on their way out."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial

from exporter.logs.events import RequestEvent
from exporter.logs.intake import Intake
from exporter.logs.output import Encoder, Sink, json_lines
from exporter.logs.reader import Pump
from exporter.logs.record import LEVELS, Level, Record, timestamp
from exporter.logs.server_events import Access, Ended, Spawned
from exporter.logs.tail import Tail

DRAIN_TIMEOUT = 2.0
LAST_LINES = 50
STREAMS = ("stdout", "stderr", "exporter")
MAX_COMPONENTS = 64
"""Components whose warnings and errors are counted by name; there are about thirty."""


class LogStream:
    """Counts records, ships those of at least `level`, and keeps the last ones.

    `on_request` hears what requests do, `on_router` what becomes of a router's children. `model_of` names the model of
    a router's child by its port, and for None that of a server without children. `prompts`: ship users' words.
    `as_text` makes something else than JSON lines of the records.
    """

    def __init__(self, fd: int, *, buffer: int, level: Level, tail: int, as_text: Encoder | None = None) -> None:
        self._as_text = as_text
        self._sink = Sink(fd, buffer, self._dropped_line)
        self.tail = Tail(tail)
        self.access = Access()
        self.prompts = False
        self.set_level(level)
        self.counts: dict[tuple[str, ...], float] = {(stream, name): 0 for stream in STREAMS for name in LEVELS}
        self.problems: Counter[tuple[str, str]] = Counter()
        self.on_request: Callable[[RequestEvent], None] = lambda _: None
        self.on_router: Callable[[Spawned | Ended], None] = lambda _: None
        self.model_of: Callable[[int | None], str | None] = lambda _: None
        self._recent: deque[str] = deque(maxlen=LAST_LINES)
        self._ended_bytes = 0
        self._intakes: list[Intake] = []
        self._pumps: list[Pump] = []

    def set_level(self, level: Level) -> None:
        """Ship records of at least this level from now on."""
        self._unshipped = frozenset(LEVELS[: LEVELS.index(level)])

    @property
    def dropped(self) -> int:
        """Lines that did not reach stdout."""
        return self._sink.dropped

    @property
    def read_bytes(self) -> int:
        """Bytes read from llama-server."""
        return self._ended_bytes + sum(pump.read_bytes for pump in self._pumps)

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last messages of the process that runs or ran last, oldest first."""
        return tuple(self._recent)

    @property
    def heard_at(self) -> float:
        """When the last line of the process was read (monotonic)."""
        return max((intake.heard_at for intake in self._intakes), default=float("-inf"))

    def add(self, record: Record) -> None:
        """Take one record of the exporter's own."""
        self._ship("exporter", [record])

    def event(
        self, name: str, message: str, *, level: Level = "info", model: str | None = None, **fields: object
    ) -> None:
        """Add a lifecycle event of the exporter, about `model` or the only one."""
        self.add(
            Record(
                time=timestamp(time.time()),
                level=level,
                source="exporter",
                model=model or self.model_of(None),
                event=name,
                message=message,
                fields=fields,
            )
        )

    def follow(self, stdout_fd: int, stderr_fd: int) -> None:
        """Read both pipes of a new process to their ends."""
        self._recent.clear()
        out, err = (self._intake("stdout", self._model_of), self._intake("stderr", self.model_of))
        self._intakes = [out, err]
        self._pumps = [out.start(stdout_fd), err.start(stderr_fd)]

    async def drained(self) -> None:
        """Wait until everything that the process wrote has been read.

        A process that left the group of its parent can hold the pipe open; it is not waited for.
        """
        for pump in self._pumps:
            try:
                await asyncio.wait_for(pump.wait(), DRAIN_TIMEOUT)
            except TimeoutError:
                pump.stop()
            self._ended_bytes += pump.read_bytes
        self._pumps = []

    def close(self, timeout: float) -> None:
        """Write out what waits, for `timeout` seconds at most."""
        self._sink.close(timeout)

    def _intake(self, stream: str, model_of: Callable[[int | None], str | None]) -> Intake:
        return Intake(
            partial(self._ship, stream),
            self._recent,
            self.access,
            model_of=model_of,
            on_request=self.on_request,
            on_router=self.on_router,
            prompts=lambda: self.prompts,
        )

    def _ship(self, stream: str, records: Sequence[Record]) -> None:
        # What follows from a line of llama-server's is the exporter's own.
        seen = Counter([(stream if record.event is None else "exporter", record.level) for record in records])
        for key, count in seen.items():
            self.counts[key] += count
        levels = {level for _, level in seen}
        if stream != "exporter" and not levels.isdisjoint(("warn", "error")):
            self._count_problems(records)
        if not levels.isdisjoint(self._unshipped):
            records = [record for record in records if record.level not in self._unshipped]
        if records:
            lines, count = json_lines(records)
            self.tail.add(lines, count)
            self._sink.write(*((lines, count) if self._as_text is None else self._as_text(records)))

    def _count_problems(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.level in ("warn", "error"):
                key = record.component or "other", record.level
                known = key in self.problems or len(self.problems) < MAX_COMPONENTS
                self.problems[key if known else ("other", record.level)] += 1

    def _model_of(self, child: int | None) -> str | None:
        """The model of a child. Its first line can overtake the router's, which names it on the other pipe."""
        model = self.model_of(child)
        if model is None and child is not None:
            for pump in self._pumps[1:]:
                pump.catch_up()
            model = self.model_of(child)
        return model

    def _dropped_line(self, count: int) -> bytes:
        """What is written when a reader who had stalled reads again. Called in the sink's thread."""
        record = Record(
            time=timestamp(time.time()),
            level="warn",
            source="exporter",
            event="log_lines_dropped",
            message=f"{count} log lines were given up because nobody read stdout fast enough (logs.buffer)",
            fields={"count": count},
        )
        return (self._as_text or json_lines)([record])[0]
