"""How long to wait before the next start, and when to give up."""

import random
from collections import deque
from collections.abc import Callable


class Backoff:
    """Exponential delays with jitter, and a limit on failures in a sliding window.

    `initial` and `maximum` are seconds; each failure doubles the delay. The delay is spread over 50 to 100 % of its
    nominal length, so that many hosts that fail together do not start together. `give_up_after` failures inside
    `within` seconds are too many.
    """

    def __init__(
        self,
        initial: float,
        maximum: float,
        give_up_after: int,
        within: float,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._initial = initial
        self._maximum = maximum
        self._give_up_after = give_up_after
        self._within = within
        self._jitter = jitter
        self._in_a_row = 0
        self._failures: deque[float] = deque()

    def failed(self, now: float) -> float | None:
        """Count a failure at monotonic time `now`: seconds to wait before the next start, None to give up."""
        self._failures.append(now)
        while self._failures[0] <= now - self._within:
            self._failures.popleft()
        if len(self._failures) >= self._give_up_after:
            return None
        nominal = min(self._maximum, self._initial * 2.0 ** min(self._in_a_row, 60))
        self._in_a_row += 1
        return nominal * (0.5 + 0.5 * self._jitter())

    def healthy(self) -> None:
        """Forget the row of failures: the server has been ready long enough to count as well."""
        self._in_a_row = 0

    def forget(self) -> None:
        """Forget everything: somebody asked for a start."""
        self._in_a_row = 0
        self._failures.clear()
