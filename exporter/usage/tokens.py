"""Counts of tokens, and how fast they grow."""

from collections import deque
from operator import add, sub
from typing import NamedTuple

SHORTEST = 1.0
"""Seconds over which a rate is measured at least: prompt tokens come in steps, two looks can be milliseconds apart."""


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


class Look(NamedTuple):
    """A total of tokens at a monotonic time."""

    at: float
    total: int


class Rate:
    """Tokens a second: the tokens of the last `window` seconds over its length.

    Where no tokens came for a whole window before the first of them, it is the time since that first one, so that three
    seconds of a generation show its speed and not three tenths of it. Pauses shorter than the window count as time, so
    the mean of the rate is the tokens over the time. After the last token it falls to 0 within the window.
    """

    def __init__(self, window: float) -> None:
        self.window = window
        self._looks: deque[Look] = deque()
        self._idle: Look | None = None
        """The last look at which no token was in the making."""
        self._around_first: tuple[Look, Look] | None = None
        """The looks before and after the first tokens that came after a window without any."""
        self._grew_at = float("-inf")

    def observe(self, now: float, total: int, *, making: bool) -> None:
        """Take the total at monotonic time `now`.

        `making`: tokens that are not in the total yet may be in the making now. A prompt is counted batch by batch, and
        the time of its first batch counts.
        """
        look = Look(now, total)
        if not self._looks or now - self._looks[-1].at >= self.window:
            # What came since the last look, before this process, may have come at any time.
            self._looks = deque([look])
            self._idle = self._around_first = None
            self._grew_at = float("-inf")
        last = self._looks[-1]
        if total > last.total:
            if last.at - self._grew_at >= self.window:
                idle = self._idle if self._idle is not None and self._idle.total == last.total else last
                self._around_first = idle, look
            self._grew_at = now
        if not making:
            self._idle = look
        self._looks.append(look)
        while len(self._looks) > 2 and self._looks[1].at <= now - self.window:  # noqa: PLR2004 -- keep two ends
            self._looks.popleft()

    def per_second(self) -> float:
        """Return the rate at the last look; 0 before two looks."""
        if not self._looks:
            return 0.0
        now, total = self._looks[-1]
        if self._around_first is not None and self._around_first[0].at > now - self.window:
            before, after = self._around_first
            # The first token came between the two looks: the rate lies between these, and later they agree.
            since_after = (total - after.total) / (now - after.at) if now - after.at >= SHORTEST else 0.0
            return max((total - before.total) / max(SHORTEST, now - before.at), since_after)
        begin = max(now - self.window, self._looks[0].at)
        return (total - self._total_at(begin)) / (now - begin) if now > begin else 0.0

    def _total_at(self, when: float) -> float:
        """Return the total at `when`, on the line between the two looks around it."""
        before = self._looks[0]
        for after in self._looks:
            if after.at > when:
                share = (when - before.at) / (after.at - before.at) if after.at > before.at else 1.0
                return before.total + share * (after.total - before.total)
            before = after
        return before.total
