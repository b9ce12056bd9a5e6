"""llama-server's log: both pipes become records and events. A record that cannot be read as an event is shipped too."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from exporter.logs.assembler import Assembler, Clock, Written
from exporter.logs.events import Finished, RequestEvent, RequestTracker
from exporter.logs.output import LogOutput
from exporter.logs.reader import PipeReader
from exporter.logs.record import FinishedRequest, Record, timestamp
from exporter.logs.redaction import NUMBERS, WITHHELD, ArgumentRedactor, private, withhold
from exporter.logs.server_events import ACCESS_FUNCTION, Ended, HttpAccessLog, Spawned, read_router_event
from exporter.tasks import Border

EVENTS = "log events"  # in the counts of failures
DRAIN_TIMEOUT = 2.0
LAST_LINES = 50
LAST_LINE_LENGTH = 4096
ModelOf = Callable[[int | None], str | None]


@dataclass(slots=True)
class _Pipe:
    """What is known of one pipe: a line that continues a record, or settles a request, comes by the same one."""

    stream: str
    assembler: Assembler
    requests: RequestTracker = field(default_factory=RequestTracker)
    arguments: ArgumentRedactor = field(default_factory=ArgumentRedactor)


class ServerLog:
    """Reads the log of the current process and ships it to `output`.

    `on_request` gets the events of requests, `on_router` those of a router's processes. `model_of` returns the model of
    a router's child by its port, and for None that of a server without children. `prompts`: ship users' words. `border`
    counts failures. `last_lines` are the last messages of the process that runs or ran last, `heard_at` is when the
    last line that is a sign of its life was read (monotonic): one that the exporter's own request caused is none.
    """

    def __init__(
        self,
        output: LogOutput,
        *,
        border: Border,
        on_request: Callable[[RequestEvent], None],
        on_router: Callable[[Spawned | Ended], None],
        model_of: ModelOf,
        prompts: bool,
    ) -> None:
        self._output = output
        self._border = border
        self._on_request = on_request
        self._on_router = border.callback(EVENTS, on_router)
        self._find_model = model_of
        self.prompts = prompts
        self.heard_at = float("-inf")
        self._access = HttpAccessLog()
        self._recent: deque[str] = deque(maxlen=LAST_LINES)
        self._readers: list[PipeReader] = []
        self._read_before = 0

    @property
    def read_bytes(self) -> int:
        """Bytes read from llama-server, of all processes."""
        return self._read_before + sum(reader.read_bytes for reader in self._readers)

    @property
    def http_requests(self) -> Counter[tuple[str, str]]:
        """Requests that builds with an access log answered, by path and status code, without the exporter's own."""
        return self._access.counts

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last messages of the process, oldest first."""
        return tuple(self._recent)

    def asked(self, path: str) -> None:
        """Note that the exporter requests `path` from llama-server now."""
        self._access.asked(path)

    def follow(self, stdout_fd: int, stderr_fd: int) -> None:
        """Read both pipes of a new process to their ends."""
        for reader in self._readers:
            reader.stop()
        self._read_before = self.read_bytes
        self._recent.clear()
        self._access.forget()
        self.heard_at = float("-inf")
        self._readers = [
            self._read(stdout_fd, "stdout", self._model_named_on_stderr),
            self._read(stderr_fd, "stderr", self._model_of),
        ]

    async def drained(self) -> None:
        """Wait until everything that the process wrote has been read.

        A process that left the group of its parent can hold the pipe open; it is not waited for.
        """
        readers = self._readers
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_TIMEOUT):
                for reader in readers:
                    await reader.wait()
        for reader in readers:
            reader.stop()

    def _read(self, fd: int, stream: str, model_of: ModelOf) -> PipeReader:
        pipe = _Pipe(stream, Assembler(Clock(lambda: time.time_ns() // 1000), model_of))
        silence = partial(self._silence, pipe)
        return PipeReader(fd, lambda block: self._take(pipe, pipe.assembler.feed(block)), silence, self._border)

    def _silence(self, pipe: _Pipe) -> None:
        """Take what is held as whole: nothing has come for a while, or nothing will."""
        self._take(pipe, pipe.assembler.flush())
        finished: list[Record] = []
        self._report(pipe.requests.settle(), timestamp(time.time()), finished)
        if finished:
            self._output.ship(pipe.stream, finished)

    def _take(self, pipe: _Pipe, records: Sequence[Written]) -> None:
        shipped: list[Record] = []
        own = 0
        requests = pipe.requests.feed
        for child, record in records:
            try:
                events = requests(child, record)
            except Exception as error:  # noqa: BLE001 -- the border of a record
                self._border.failed(EVENTS, error)
                events = ()
            # Half of all records are the numbers of a slot, in which there is nothing more to be found.
            if (record.function in NUMBERS and "\n" not in record.message) or self._visible(pipe, child, record):
                shipped.append(record)
            else:
                own += 1
            if events:
                self._report(events, record.time, shipped)
        if len(records) > own:
            self.heard_at = time.monotonic()
        if shipped:
            self._recent.extend([record.message[:LAST_LINE_LENGTH] for record in shipped[-LAST_LINES:]])
            self._output.ship(pipe.stream, shipped)

    def _visible(self, pipe: _Pipe, child: int | None, record: Record) -> bool:
        """Take server events and private text out of a record; return False when the exporter's own request made it."""
        try:
            if record.slot is None:
                if record.function == ACCESS_FUNCTION and self._access.own(record):
                    return False
                if child is None:
                    if record.component == "srv" and (event := read_router_event(record)) is not None:
                        self._on_router(event)
                    if record.function == "load" or record.component == "error":
                        pipe.arguments.redact(record)
            if private(record) and not self.prompts:
                record.message = withhold(record.message)
        except Exception as error:  # noqa: BLE001 -- the border of a record
            self._border.failed(EVENTS, error)
            record.message = WITHHELD.format(len(record.message))  # nobody has looked what is in it
        return True

    def _report(self, events: Sequence[RequestEvent], when: str, shipped: list[Record]) -> None:
        for event in events:
            try:
                self._on_request(event)
            except Exception as error:  # noqa: BLE001 -- the border of a callback
                self._border.failed(EVENTS, error)
            if isinstance(event, Finished):
                shipped.append(finished_record(event, when, self._model_of(event.child)))

    def _model_of(self, child: int | None) -> str | None:
        try:
            return self._find_model(child)
        except Exception as error:  # noqa: BLE001 -- the border of a callback
            self._border.failed(EVENTS, error)
            return None

    def _model_named_on_stderr(self, child: int | None) -> str | None:
        """Return the model of a child whose first line can overtake the router's, which names it on the other pipe."""
        model = self._model_of(child)
        if model is None and child is not None:
            for reader in self._readers[1:]:
                reader.catch_up()
            model = self._model_of(child)
        return model


def finished_record(request: Finished, when: str, model: str | None) -> FinishedRequest:
    """Return the `request_finished` record."""
    _, task, outcome, prompt_tokens, cached, made, prompt, generation, _, _ = request
    total = None if prompt is None or generation is None else round(prompt + generation, 6)
    rate = round(made / generation, 3) if made and generation else None
    own = "request_finished", f"request {outcome}", None, outcome, prompt_tokens, cached, made, prompt, generation
    return FinishedRequest(when, "info", "exporter", model, None, None, None, task, *own, total, rate)
