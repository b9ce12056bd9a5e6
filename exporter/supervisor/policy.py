"""When to start, stop and replace the process, and how long to wait in between."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self

from exporter.config import LiveServer


@dataclass(frozen=True, slots=True)
class Policy:
    """How to keep the server running; times in seconds. The meaning of each is that of the configuration key."""

    restart: Literal["always", "on-failure", "never"]
    start_timeout: float
    stop_timeout: float
    health_interval: float
    unresponsive_after: float
    unresponsive_action: Literal["restart", "report"]

    @classmethod
    def of(cls, server: LiveServer) -> Self:
        """Return the policy that the settings ask for."""
        return cls(
            restart=server.restart.policy,
            start_timeout=server.start_timeout,
            stop_timeout=server.stop_timeout,
            health_interval=server.health.interval,
            unresponsive_after=server.health.unresponsive_after,
            unresponsive_action=server.health.action,
        )


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

    @classmethod
    def of(cls, server: LiveServer) -> Self:
        """Return the backoff that the settings ask for."""
        restart = server.restart
        return cls(restart.initial_backoff, restart.max_backoff, restart.give_up_after, restart.within)

    def failed(self, now: float) -> float | None:
        """Count a failure at monotonic time `now`; return seconds to wait before the next start, None to give up."""
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
