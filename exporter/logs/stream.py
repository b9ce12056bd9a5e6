"""The one log stream: llama-server's records and the exporter's own meet here on their way out."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable

from exporter.logs import router
from exporter.logs.assembler import Assembler
from exporter.logs.privacy import withhold
from exporter.logs.pump import Pump
from exporter.logs.record import LEVELS, Level, Record, encode, timestamp
from exporter.logs.requests import Finished, RequestEvent, RequestTracker
from exporter.logs.router import Ended, Spawned
from exporter.logs.sink import Sink

DRAIN_TIMEOUT = 2.0
LAST_LINES = 50
STREAMS = ("stdout", "stderr", "exporter")


class LogStream:
    """Counts records, ships those of at least `level`, and tells of requests.

    `on_request` hears what requests do, `on_router` what becomes of a router's children. `model_of` names the model of
    a router's child by its port, and for None that of a server without children.
    """

    def __init__(self, sink: Sink, level: Level) -> None:
        self._sink = sink
        self._recent: deque[str] = deque(maxlen=LAST_LINES)
        self.heard_at = float("-inf")
        self.set_level(level)
        self.counts: dict[tuple[str, ...], float] = {(stream, name): 0 for stream in STREAMS for name in LEVELS}
        self._ended_bytes = 0
        self._pumps: list[Pump] = []
        self.on_request: Callable[[RequestEvent], None] = lambda _: None
        self.on_router: Callable[[Spawned | Ended], None] = lambda _: None
        self.model_of: Callable[[int | None], str | None] = lambda _: None

    def set_level(self, level: Level) -> None:
        """Ship records of at least this level from now on."""
        self._shipped = frozenset(LEVELS[LEVELS.index(level) :])

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

    def add(self, record: Record, stream: str = "exporter") -> None:
        """Take one record."""
        self.counts[stream, record.level] += 1
        if record.level in self._shipped:
            self._sink.write(encode(record))

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
        self._pumps = [self._pump(stdout_fd, "stdout"), self._pump(stderr_fd, "stderr")]

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

    def _pump(self, fd: int, stream: str) -> Pump:
        """Each pipe is a stream of its own: what continues a record, or settles a request, came by the same one."""
        model_of = self._model_of if stream == "stdout" else self.model_of
        assembler = Assembler(lambda: timestamp(time.time()), model_of)
        requests = RequestTracker()

        def take(records: list[tuple[int | None, Record]]) -> None:
            self.heard_at = time.monotonic()
            for child, record in records:
                record.message = withhold(record.message)
                self._recent.append(record.message)
                if child is None and (event := router.read(record)) is not None:
                    self.on_router(event)
                self.add(record, stream)
                self._tell(requests.feed(child, record))

        def idle() -> None:
            take(assembler.flush())
            self._tell(requests.settle())

        return Pump(fd, lambda lines: take(assembler.feed(lines)), idle)

    def _model_of(self, child: int | None) -> str | None:
        """The model of a child. Its first line can overtake the router's, which names it on the other pipe."""
        model = self.model_of(child)
        if model is None and child is not None:
            for pump in self._pumps[1:]:
                pump.catch_up()
            model = self.model_of(child)
        return model

    def _tell(self, events: Iterable[RequestEvent]) -> None:
        for event in events:
            self.on_request(event)
            if isinstance(event, Finished):
                self.add(_finished(event, self.model_of(event.child)))


def _finished(request: Finished, model: str | None) -> Record:
    """The `request_finished` line."""
    prompt, generation = request.prompt_seconds, request.generation_seconds
    fields: dict[str, object | None] = {
        "outcome": request.outcome,
        "prompt_tokens": request.prompt_tokens,
        "cached_tokens": request.cached_tokens,
        "generation_tokens": request.generation_tokens,
        "prompt_seconds": prompt,
        "generation_seconds": generation,
        "total_seconds": None if prompt is None or generation is None else round(prompt + generation, 6),
        "tokens_per_second": (
            round(request.generation_tokens / generation, 3) if request.generation_tokens and generation else None
        ),
    }
    return Record(
        time=timestamp(time.time()),
        level="info",
        source="exporter",
        model=model,
        task=request.task,
        event="request_finished",
        message=f"request {request.outcome}",
        fields={key: value for key, value in fields.items() if value is not None},
    )
