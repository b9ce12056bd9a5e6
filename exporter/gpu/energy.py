"""Energy from power, where a device counts none."""

MAX_GAP = 10.0
"""Seconds between two readings beyond which nothing can be said of the time between."""


class PowerIntegral:
    """Adds up the power of each device between its readings, by the mean of the two. Starts at 0."""

    def __init__(self) -> None:
        self.joules: dict[str, float] = {}
        self._last: dict[str, tuple[float, float]] = {}

    def add(self, uuid: str, watts: float | None, now: float) -> None:
        """Take a reading at the monotonic time `now`; None is a device that does not tell."""
        before = self._last.pop(uuid, None)
        if watts is None:
            return
        self._last[uuid] = watts, now
        self.joules.setdefault(uuid, 0.0)
        if before is not None and now - before[1] <= MAX_GAP:
            self.joules[uuid] += (watts + before[0]) / 2 * (now - before[1])
