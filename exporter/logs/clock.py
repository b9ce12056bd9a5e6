"""Wall-clock times of a server's records, computed from the offsets that its own log has."""

from collections.abc import Callable

from exporter.logs.record import timestamp

SECOND = 1_000_000
THREE = tuple(f"{number:03d}" for number in range(1000))
"""Three digits of each: to look them up takes less than half the time of formatting six."""


class Clock:
    """Stamps the records of one pipe, whose writers are a server, or a router's children by their port.

    `now` gives the wall clock in microseconds. A line is read after it was written, so the earliest beginning that the
    lines allow is the true one, or a little later. Times of a writer never go back, and none is in the future.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._clock = now
        self._now = 0
        self._writers: dict[int | None, list[int]] = {}
        """When each began, and the time of its last line."""
        self._second = -SECOND
        self._text = ""

    def read(self) -> None:
        """The next lines have been read now."""
        self._now = self._clock()

    def stamp(self, writer: int | None, offset: int | None) -> str:
        """The time of a line as RFC 3339, by `offset`, its microseconds since the writer began, where it tells them."""
        state = self._writers.get(writer)
        if state is None:
            self._writers[writer] = state = [self._now - (offset or 0), 0]
        if offset is None:
            now = self._now
        else:
            now = state[0] + offset
            if now > self._now:
                state[0] = self._now - offset
                now = self._now
        if now < state[1]:
            now = state[1]
        else:
            state[1] = now
        micro = now - self._second
        if not 0 <= micro < SECOND:
            micro = now % SECOND
            self._second = now - micro
            self._text = timestamp(self._second // SECOND)[:-7]
        return f"{self._text}{THREE[micro // 1000]}{THREE[micro % 1000]}Z"
