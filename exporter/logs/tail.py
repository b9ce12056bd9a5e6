"""The end of the log, kept in memory for the status."""

from collections import deque
from collections.abc import Iterator

from exporter.logs.record import Record


class Tail:
    """A ring of the newest records."""

    def __init__(self, size: int) -> None:
        self._ring: deque[Record] = deque(maxlen=size)

    def add(self, record: Record) -> None:
        """Append one; the oldest goes when the ring is full."""
        self._ring.append(record)

    def newest(self) -> Iterator[Record]:
        """Newest first."""
        return reversed(self._ring)

    def last_messages(self, count: int) -> tuple[str, ...]:
        """The last `count` messages of llama-server, oldest first."""
        lines: list[str] = []
        for record in self.newest():
            if record.source == "llama-server":
                lines.append(record.message)
                if len(lines) == count:
                    break
        return tuple(reversed(lines))
