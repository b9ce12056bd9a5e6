"""Exact tokens of one model, from what the log says of requests and `/slots` of the running ones."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from exporter.llama.slots import Slot
from exporter.llama.tokens import Tokens
from exporter.logs.requests import Finished, Launched, Progress, RequestEvent

REMEMBERED = 4096
MISSES = 4
"""Answers of `/slots` in a row without a running request, after which it is taken as ended; the log's line that says so
comes by another way and may be later."""


class Usage(Protocol):
    """Totals that never go back, running requests included."""

    @property
    def totals(self) -> Tokens:
        """All tokens so far."""
        ...

    @property
    def running(self) -> int:
        """Requests that a slot works on now."""
        ...


class LoggedUsage:
    """Finished requests count as their timing lines say, running ones as `/slots` last showed them.

    A request that ends without timings (the client went away) keeps what was last seen of it. The pipe and `/slots` are
    two clocks: an answer of `/slots` may come later than the log line that ended the request, hence `_ended`.
    """

    def __init__(self) -> None:
        self._finished = Tokens()
        self._running: dict[int, Tokens] = {}
        self._ended: deque[int] = deque(maxlen=REMEMBERED)
        self._missed: dict[int, int] = {}
        self._shown = Tokens()

    @property
    def totals(self) -> Tokens:
        """All tokens so far."""
        now = self._finished
        for tokens in self._running.values():
            now = now.plus(tokens)
        self._shown = now.at_least(self._shown)
        return self._shown

    @property
    def running(self) -> int:
        """Requests that a slot works on now, as the log says."""
        return len(self._running)

    def take(self, event: RequestEvent) -> None:
        """What the log says of a request."""
        match event:
            case Launched():
                self.launched(event.task)
            case Progress():
                self.progressed(event.task, event.prompt_tokens, event.cached_tokens)
            case Finished():
                self.finished(event.task, event.prompt_tokens, event.cached_tokens, event.generation_tokens)

    def launched(self, task: int) -> None:
        """A slot has taken the request."""
        self._running.setdefault(task, Tokens())

    def progressed(self, task: int, prompt: int, cached: int) -> None:
        """The log told how far the prompt is."""
        if task in self._running:
            self._see(task, Tokens(prompt, cached, 0))

    def seen(self, slots: Sequence[Slot]) -> None:
        """`/slots` showed these busy slots.

        A request that it does not show several times in a row has ended, whatever became of the line that said so: one
        that would run for ever must not look like a hang.
        """
        busy = {slot.task for slot in slots}
        for task in [task for task in self._running if task not in busy]:
            self._missed[task] = self._missed.get(task, 0) + 1
            if self._missed[task] >= MISSES:
                self.finished(task, None, None, None)
        for slot in slots:
            if slot.task not in self._ended:
                self._missed.pop(slot.task, None)
                self._see(slot.task, Tokens(slot.prompt_processed or 0, slot.prompt_cached or 0, slot.generated))

    def finished(self, task: int, prompt: int | None, cached: int | None, generated: int | None) -> None:
        """The request ended, with these tokens where the log says so. It ends once."""
        if task in self._ended:
            return
        self._missed.pop(task, None)
        last = self._running.pop(task, Tokens())
        self._ended.append(task)
        self._finished = self._finished.plus(
            Tokens(
                last.prompt if prompt is None else prompt,
                last.cached if cached is None else cached,
                last.generated if generated is None else generated,
            )
        )

    def server_gone(self) -> None:
        """The process ended: running requests keep what was last seen, and task ids begin anew."""
        for task in list(self._running):
            self.finished(task, None, None, None)
        self._ended.clear()
        self._missed.clear()

    def _see(self, task: int, tokens: Tokens) -> None:
        self._running[task] = tokens.at_least(self._running.get(task, Tokens()))


class CountedUsage:
    """For a server without a log: its own counters, which move when a request ends, and `/slots` before that.

    The counters leave out cancelled requests, so a request that disappears from `/slots` without its tokens arriving in
    the counters by the second look is taken as cancelled, with what was last seen of it. Requests that begin and end
    cancelled between two looks are not seen. Counters print six digits: past a million the sum lags by up to 5 units in
    the seventh.
    """

    def __init__(self) -> None:
        self._finished = Tokens()
        self._counters: Tokens | None = None
        self._running: dict[int, Tokens] = {}
        self._limbo: list[tuple[Tokens, int]] = []
        self._shown = Tokens()

    @property
    def totals(self) -> Tokens:
        """All tokens so far."""
        now = self._finished
        for tokens in (*self._running.values(), *(tokens for tokens, _ in self._limbo)):
            now = now.plus(tokens)
        self._shown = now.at_least(self._shown)
        return self._shown

    @property
    def running(self) -> int:
        """Requests that `/slots` showed last."""
        return len(self._running)

    def looked(self, counters: Tokens, slots: Iterable[Slot]) -> None:
        """One look: the counters first, the slots right after them."""
        busy = {
            slot.task: Tokens(slot.prompt_processed or 0, slot.prompt_cached or 0, slot.generated) for slot in slots
        }
        gone = [tokens for task, tokens in self._running.items() if task not in busy]
        before = self._counters
        if before is None or counters.generated < before.generated or counters.prompt < before.prompt:
            before = Tokens() if before is not None else counters  # a new server begins at 0, an attached one is met
        added = Tokens(*(now - then for now, then in zip(counters, before, strict=True)))
        self._counters = counters
        self._finished = self._finished.plus(added)
        left = added.generated
        waiting = sorted([*self._limbo, *((tokens, 0) for tokens in gone)], key=lambda entry: -entry[0].generated)
        self._limbo = []
        for tokens, looks in waiting:
            if tokens.generated <= left:
                left -= tokens.generated  # the counters have it
            elif looks:
                self._finished = self._finished.plus(tokens)
            else:
                self._limbo.append((tokens, 1))
        self._running = busy

    def server_gone(self) -> None:
        """It does not answer any more: what ran keeps what was last seen."""
        for tokens in (*self._running.values(), *(tokens for tokens, _ in self._limbo)):
            self._finished = self._finished.plus(tokens)
        self._running, self._limbo, self._counters = {}, [], Tokens()
