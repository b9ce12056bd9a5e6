"""One pipe of llama-server: its lines become records, and what they tell of requests and children is passed on."""

import time
from collections import deque
from collections.abc import Callable, Sequence

from exporter.logs.assembler import Assembler
from exporter.logs.events import Finished, RequestEvent, RequestTracker
from exporter.logs.reader import Pump
from exporter.logs.record import Clock, FinishedRequest, Record, timestamp
from exporter.logs.redaction import NUMBERS, Secrets, private, withhold
from exporter.logs.server_events import FUNCTION, Access, Ended, Spawned, read_router_event

OnRequest = Callable[[RequestEvent], None]
OnRouter = Callable[[Spawned | Ended], None]
ModelOf = Callable[[int | None], str | None]


class Intake:
    """Reads one pipe to its end. What continues a record, or settles a request, came by the same pipe.

    `ship` gets the records as they are to be seen, `recent` their messages; `prompts`: do not withhold users' words.
    """

    def __init__(
        self,
        ship: Callable[[Sequence[Record]], None],
        recent: deque[str],
        access: Access,
        *,
        model_of: ModelOf,
        on_request: OnRequest,
        on_router: OnRouter,
        prompts: Callable[[], bool],
    ) -> None:
        self._ship = ship
        self._recent = recent
        self._access = access
        self._model_of = model_of
        self._on_request = on_request
        self._on_router = on_router
        self._prompts = prompts
        self._assembler = Assembler(Clock(lambda: time.time_ns() // 1000), model_of)
        self._requests = RequestTracker()
        self._secrets = Secrets()
        self.heard_at = float("-inf")

    def start(self, fd: int) -> Pump:
        """Read from `fd`."""
        return Pump(fd, self.lines, self.silence)

    def lines(self, block: str) -> None:
        """Take the next lines."""
        self._take(self._assembler.feed(block))

    def silence(self) -> None:
        """Nothing has come for a while, or nothing will: what is held is whole."""
        self._take(self._assembler.flush())
        shipped: list[Record] = []
        self._tell(self._requests.settle(), timestamp(time.time()), shipped)
        if shipped:
            self._ship(shipped)

    def _take(self, records: Sequence[tuple[int | None, Record]]) -> None:
        self.heard_at = time.monotonic()
        shipped: list[Record] = []
        requests = self._requests.feed
        for child, record in records:
            events = requests(child, record)
            # Half of all records are the numbers of a slot, in which there is nothing more to be found.
            if (record.function in NUMBERS and "\n" not in record.message) or self._to_be_seen(child, record):
                shipped.append(record)
            if events:
                self._tell(events, record.time, shipped)
        self._recent.extend([record.message for record in shipped[-(self._recent.maxlen or 0) :]])
        if shipped:
            self._ship(shipped)

    def _to_be_seen(self, child: int | None, record: Record) -> bool:
        """Take what the record tells of the server, and users' words out of it; False when it is of our own doing."""
        if record.slot is None:
            if record.function == FUNCTION and self._access.own(record):
                return False
            if child is None:
                if record.component == "srv" and (event := read_router_event(record)) is not None:
                    self._on_router(event)
                if record.function == "load" or record.component == "error":
                    self._secrets.hide(record)
        if private(record) and not self._prompts():
            record.message = withhold(record.message)
        return True

    def _tell(self, events: Sequence[RequestEvent], when: str, shipped: list[Record]) -> None:
        for event in events:
            self._on_request(event)
            if isinstance(event, Finished):
                shipped.append(finished_record(event, when, self._model_of(event.child)))


def finished_record(request: Finished, when: str, model: str | None) -> FinishedRequest:
    """The `request_finished` line."""
    prompt, generation, made = request.prompt_seconds, request.generation_seconds, request.generation_tokens
    message, task = f"request {request.outcome}", request.task
    record = FinishedRequest(when, "info", "exporter", model, None, None, None, task, "request_finished", message)
    record.outcome = request.outcome
    if made is not None:
        record.prompt_tokens, record.cached_tokens = request.prompt_tokens, request.cached_tokens
        record.generation_tokens = made
    if prompt is not None and generation is not None:
        record.prompt_seconds, record.generation_seconds = prompt, generation
        record.total_seconds = round(prompt + generation, 6)
        if made and generation:
            record.tokens_per_second = round(made / generation, 3)
    return record
