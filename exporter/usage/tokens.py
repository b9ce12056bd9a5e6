"""Counts of tokens, and how fast they grow."""

from collections import deque
from operator import add, sub
from typing import NamedTuple

PAUSE = 1.5
"""Seconds without a running request that end a row of requests; shorter gaps lie between the requests of one client."""


class Tokens(NamedTuple):
    """Tokens of one request or of many.

    Prompt tokens processed, prompt tokens found in the cache, tokens generated; and of speculative decoding the tokens
    that were drafted and those of them that were accepted (which are among the generated ones).
    """

    prompt: int = 0
    cached: int = 0
    generated: int = 0
    drafted: int = 0
    accepted: int = 0

    def plus(self, other: "Tokens") -> "Tokens":
        """The sum, part by part."""
        return Tokens(*map(add, self, other))

    def minus(self, other: "Tokens") -> "Tokens":
        """The difference, part by part."""
        return Tokens(*map(sub, self, other))

    def at_least(self, other: "Tokens") -> "Tokens":
        """The larger of both, part by part: what was once shown is not taken back."""
        return Tokens(*map(max, self, other))


class Rate:
    """Tokens a second over the last `window` seconds.

    While requests run that began inside the window, it is measured from their beginning, so that three seconds of a
    generation show its speed and not three tenths of it. Without running requests the whole window counts, so the rate
    falls to 0 within it.
    """

    def __init__(self, window: float) -> None:
        self.window = window
        self._samples: deque[tuple[float, Tokens]] = deque()
        self._busy_since: float | None = None
        self._busy_last = float("-inf")

    def observe(self, now: float, totals: Tokens, *, busy: bool) -> None:
        """Take the totals at monotonic time `now`."""
        if not self._samples:
            self._samples.append((now, totals))
        if busy:
            if self._busy_since is None or now - self._busy_last > PAUSE:
                self._busy_since = now
            self._busy_last = now
        self._samples.append((now, totals))
        while len(self._samples) > 2 and self._samples[1][0] <= now - self.window:  # noqa: PLR2004 -- keep two ends
            self._samples.popleft()

    def per_second(self, now: float) -> tuple[float, float]:
        """Prompt and generation tokens a second; zeros before two looks."""
        if not self._samples:
            return 0.0, 0.0
        busy = self._busy_since is not None and now - self._busy_last <= PAUSE
        if busy:
            now = self._samples[-1][0]  # what has been made since the last look is not known yet, and is not zero
        begin = now - self.window
        if busy and self._busy_since is not None:
            begin = max(begin, min(self._busy_since, now - 1.0))
        begin = max(begin, self._samples[0][0])
        span = now - begin
        if span <= 0:
            return 0.0, 0.0
        prompt, generated = self._at(begin)
        last = self._samples[-1][1]
        return max(0.0, last.prompt - prompt) / span, max(0.0, last.generated - generated) / span

    def _at(self, when: float) -> tuple[float, float]:
        """Prompt and generation totals at `when`, on the line between the two looks around it."""
        before = self._samples[0]
        for after in self._samples:
            if after[0] > when:
                share = (when - before[0]) / (after[0] - before[0]) if after[0] > before[0] else 1.0
                return (
                    before[1].prompt + share * (after[1].prompt - before[1].prompt),
                    before[1].generated + share * (after[1].generated - before[1].generated),
                )
            before = after
        return before[1].prompt, before[1].generated
