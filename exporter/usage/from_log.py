"""Exact tokens of one model, from what the log says of requests and `/slots` of the running ones."""

from collections import Counter
from collections.abc import Sequence

from exporter.llama.api import Slot
from exporter.logs.events import Finished, Launched, Progress, RequestEvent
from exporter.usage.reconcile import reconciled
from exporter.usage.tokens import Tokens

REMEMBERED = 4096
MISSES = 4
"""Answers of `/slots` in a row without a running request, after which it is taken as ended; the log's line that says so
comes by another way and may be later."""

Key = tuple[int | None, int]
"""A request: the port of the router's child (None without a router), and the task, a number of that process."""


def seen_of(slot: Slot) -> Tokens:
    """What a busy slot shows of its request."""
    return Tokens(slot.prompt_processed or 0, slot.prompt_cached or 0, slot.generated)


class FromLog:
    """Finished requests count as their timing lines say, running ones as `/slots` last showed them.

    A request that ends without timings (the client went away) keeps what was last seen of it, until the process is idle
    and its own counters say more (`reconcile`). The pipe and `/slots` are
    two clocks: an answer of `/slots` may come later than the line that ended the request, and the line later than the
    end of the process: `_ended` remembers what was counted.
    """

    def __init__(self, start: Tokens = Tokens()) -> None:  # noqa: B008 -- immutable
        self._finished = start
        self._running: dict[Key, Tokens] = {}
        self._ended: dict[Key, Tokens] = {}
        self._missed: dict[Key, int] = {}
        self._of_process: dict[int | None, Tokens] = {}
        """What the requests of each process that have ended made."""
        self._ends: Counter[int | None] = Counter()
        self._shown = start
        self.progress: dict[Key, float] = {}

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

    def runs_in(self, child: int | None) -> bool:
        """True while this process works on a request."""
        return any(key[0] == child for key in self._running)

    def held(self, key: Key) -> int:
        """Tokens of the context that a running request has filled, as far as is known."""
        tokens = self._running.get(key, Tokens())
        return tokens.prompt + tokens.cached + tokens.generated

    def ends(self, child: int | None) -> int:
        """Return how many ends of requests this process has seen, corrections of them included."""
        return self._ends[child]

    def reconcile(self, child: int | None, native: Sequence[float | None], *, complete: bool) -> None:
        """Move the count of a process that works on nothing into the bounds of its native counters."""
        counted = self._of_process.get(child, Tokens())
        self._of_process[child] = moved = reconciled(counted, native, complete=complete)
        self._finished = self._finished.plus(moved.minus(counted))

    def take(self, event: RequestEvent) -> None:
        """What the log says of a request."""
        key = event.child, event.task
        match event:
            case Launched():
                self._ended.pop(key, None)
                self._running.setdefault(key, Tokens())
            case Progress():
                if key in self._running:
                    self._see(key, Tokens(event.prompt_tokens, event.cached_tokens, 0))
                    if event.ratio is not None:
                        self.progress[key] = event.ratio
            case Finished():
                self._finish(key, event)

    def seen(self, child: int | None, slots: Sequence[Slot]) -> None:
        """`/slots` of this process showed these busy slots.

        A request that it does not show several times in a row has ended, whatever became of the line that said so: one
        that would run for ever must not look like a hang.
        """
        busy = {(child, slot.task) for slot in slots}
        for key in [key for key in self._running if key[0] == child and key not in busy]:
            self._missed[key] = self._missed.get(key, 0) + 1
            if self._missed[key] >= MISSES:
                self._finish(key, None)
        for slot in slots:
            key = child, slot.task
            if key not in self._ended:
                self._missed.pop(key, None)
                self._see(key, seen_of(slot))

    def begin(self, child: int | None) -> None:
        """Take note of a new process at this port: its tasks count from 0 and are none of those that were there."""
        self.gone(child)
        self._ended = {key: tokens for key, tokens in self._ended.items() if key[0] != child}
        self._of_process.pop(child, None)

    def gone(self, child: int | None) -> None:
        """The process has ended: its running requests keep what was last seen, unless its last lines tell more."""
        for key in [key for key in self._running if key[0] == child]:
            self._finish(key, None)

    def _finish(self, key: Key, event: Finished | None) -> None:
        """Count the request once: as the log says where it does, else as last seen; a late line corrects the guess."""
        counted = self._ended.get(key)
        tokens = last = self._running.pop(key, Tokens()) if counted is None else counted
        if event is not None:
            logged = (
                *(event.prompt_tokens, event.cached_tokens, event.generation_tokens),
                *(event.draft_tokens, event.draft_accepted),
            )
            tokens = Tokens(*(seen if said is None else said for seen, said in zip(last, logged, strict=True)))
        if counted is not None:
            tokens = tokens.at_least(counted)
        more = tokens.minus(counted or Tokens())
        self._finished = self._finished.plus(more)
        self._of_process[key[0]] = self._of_process.get(key[0], Tokens()).plus(more)
        self._ends[key[0]] += 1
        self._missed.pop(key, None)
        self.progress.pop(key, None)
        self._ended[key] = tokens
        if len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]

    def _see(self, key: Key, tokens: Tokens) -> None:
        if tokens.generated:
            self.progress.pop(key, None)  # the prompt is done
        self._running[key] = tokens.at_least(self._running.get(key, Tokens()))
