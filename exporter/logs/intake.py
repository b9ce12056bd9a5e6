"""One pipe of llama-server: its lines become records, and what they tell of requests and children is passed on."""

import time
from collections import deque
from collections.abc import Callable, Sequence

from exporter.logs import router
from exporter.logs.access import FUNCTION, Access
from exporter.logs.assembler import Assembler
from exporter.logs.clock import Clock
from exporter.logs.privacy import Secrets, private, withhold
from exporter.logs.pump import Pump
from exporter.logs.record import Record, timestamp
from exporter.logs.requests import Finished, RequestEvent, RequestTracker

OnRequest = Callable[[RequestEvent], None]
OnRouter = Callable[[router.Spawned | router.Ended], None]
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
        prompts, requests = self._prompts(), self._requests.feed
        for child, record in records:
            if record.slot is None:  # most records are of slots
                if record.function == FUNCTION and self._access.own(record):
                    continue
                if child is None:
                    self._server_said(record)
            events = requests(child, record)
            if not prompts and private(record):
                record.message = withhold(record.message)
            shipped.append(record)
            if events:
                self._tell(events, record.time, shipped)
        self._recent.extend([record.message for record in shipped[-(self._recent.maxlen or 0) :]])
        if shipped:
            self._ship(shipped)

    def _server_said(self, record: Record) -> None:
        """Take a record that is not of a router's child, and may be of the router."""
        if record.component == "srv" and (event := router.read(record)) is not None:
            self._on_router(event)
        if record.function == "load" or record.component == "error":
            self._secrets.hide(record)

    def _tell(self, events: Sequence[RequestEvent], when: str, shipped: list[Record]) -> None:
        for event in events:
            self._on_request(event)
            if isinstance(event, Finished):
                shipped.append(finished_record(event, when, self._model_of(event.child)))


def finished_record(request: Finished, when: str, model: str | None) -> Record:
    """The `request_finished` line."""
    prompt, generation, made = request.prompt_seconds, request.generation_seconds, request.generation_tokens
    fields: dict[str, object] = {"outcome": request.outcome}
    if made is not None:
        fields["prompt_tokens"] = request.prompt_tokens
        if request.cached_tokens is not None:
            fields["cached_tokens"] = request.cached_tokens
        fields["generation_tokens"] = made
    if prompt is not None and generation is not None:
        fields["prompt_seconds"] = prompt
        fields["generation_seconds"] = generation
        fields["total_seconds"] = round(prompt + generation, 6)
        if made and generation:
            fields["tokens_per_second"] = round(made / generation, 3)
    message = f"request {request.outcome}"
    return Record(when, "info", "exporter", model, None, None, None, request.task, "request_finished", message, fields)
