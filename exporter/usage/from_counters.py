"""Tokens of a model without a log: its own counters, and `/slots` for what is generated before a request ends."""

from collections.abc import Iterable

from exporter.llama.slots import Slot
from exporter.usage.tokens import Tokens


class CountedUsage:
    """Totals from `start` on. `counters` are those of the process at that moment; None if it is met while it runs.

    Prompt tokens are in the counters when the first token is generated, in builds of late 2026 even batch by batch, so
    what `/slots` says of them would be counted twice. Generated ones arrive there when the request ends.

    The counters of many builds leave out cancelled requests, so a request that disappears from `/slots`, and is not in
    counters that were asked for after that, is taken as cancelled, with what was last seen of it. Requests that begin
    and end cancelled between two looks are not seen. Counters print six digits: past a million the sum lags
    by up to 5 units in the seventh.
    """

    def __init__(self, start: Tokens = Tokens(), counters: Tokens | None = None) -> None:  # noqa: B008 -- immutable
        self._finished = start
        self._counters = counters
        self._running: dict[int, Tokens] = {}
        self._limbo: list[tuple[Tokens, float]] = []
        """What disappeared and is not in the counters yet, and when that was seen."""
        self._shown = start

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

    def looked(self, counters: Tokens, slots: Iterable[Slot], *, asked_at: float, now: float) -> None:
        """One look, at time `now`: counters (asked for at `asked_at`, maybe for an older look), then slots.

        llama-server counts a request before it frees the slot.
        """
        busy = {slot.task: Tokens(generated=slot.generated) for slot in slots}
        gone = [tokens for task, tokens in self._running.items() if task not in busy]
        before = self._counters
        if before is None:
            before = counters
        elif counters.generated < before.generated or counters.prompt < before.prompt:
            before = Tokens()  # another process: it began at 0
        self._finished = self._finished.plus(counters.minus(before).at_least(Tokens()))
        left = counters.generated - before.generated
        self._counters = counters
        waiting = sorted([*self._limbo, *((tokens, now) for tokens in gone)], key=lambda entry: -entry[0].generated)
        self._limbo = []
        for tokens, gone_at in waiting:
            if tokens.generated <= left:
                left -= tokens.generated  # the counters have it
            elif asked_at >= gone_at:
                self._finished = self._finished.plus(tokens)
            else:
                self._limbo.append((tokens, gone_at))
        self._running = busy

    def gone(self, _: int | None = None) -> None:
        """It does not answer any more: what ran keeps what was last seen, and the next process begins at 0."""
        for tokens in (*self._running.values(), *(tokens for tokens, _ in self._limbo)):
            self._finished = self._finished.plus(tokens)
        self._running, self._limbo, self._counters = {}, [], Tokens()
