"""The one way to stdout: records are counted, encoded, kept in the tail, and written by a thread."""

import os
import select
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence

from exporter.logs.record import LEVELS, Encoder, Level, Record, json_lines, timestamp
from exporter.logs.tail import Tail

STREAMS = ("stdout", "stderr", "exporter")
MAX_COMPONENTS = 64
"""Components whose warnings and errors are counted by name; there are about thirty."""
NEWLINE = ord("\n")
WRITTEN_AT_ONCE = 1024 * 1024
"""Bytes that are on their way at most: what is on its way can't be dropped any more."""


class LogOutput:
    """Counts records, ships those of at least `level` to `fd`, and keeps the last `tail` of them in `tail`.

    At most `buffer` bytes wait for a slow reader. `as_text` encodes the records on stdout in place of JSON lines.
    `counts` are records by stream and level, `problems` warnings and errors of llama-server by component and level.
    """

    def __init__(self, fd: int, *, buffer: int, level: Level, tail: int, as_text: Encoder | None = None) -> None:
        self._encode = as_text
        self._writer = Writer(fd, buffer, self._dropped_line)
        self.tail = Tail(tail)
        self.set_level(level)
        self.counts: dict[tuple[str, ...], float] = {(stream, name): 0 for stream in STREAMS for name in LEVELS}
        self.problems: Counter[tuple[str, str]] = Counter()

    def set_level(self, level: Level) -> None:
        """Ship records of at least this level from now on."""
        self._unshipped = frozenset(LEVELS[: LEVELS.index(level)])

    @property
    def dropped(self) -> int:
        """Lines that did not reach stdout."""
        return self._writer.dropped

    def add(self, record: Record) -> None:
        """Ship a record of the exporter's own."""
        self.ship("exporter", [record])

    def event(
        self, name: str, message: str, *, level: Level = "info", model: str | None = None, **fields: object
    ) -> None:
        """Ship an event of the exporter's own, about `model` if it is about one."""
        when = timestamp(time.time())
        self.add(Record(when, level, "exporter", model, event=name, message=message, fields=fields))

    def ship(self, stream: str, records: Sequence[Record]) -> None:
        """Ship the records of one stream of `STREAMS`."""
        levels = Counter([record.level for record in records])
        for level, count in levels.items():
            self.counts[stream, level] += count
        # An event that follows from a line of llama-server's is the exporter's own.
        for level in [record.level for record in records if record.event is not None]:
            self.counts[stream, level] -= 1
            self.counts["exporter", level] += 1
        if stream != "exporter" and ("warn" in levels or "error" in levels):
            self._count_problems(records)
        if not self._unshipped.isdisjoint(levels):
            records = [record for record in records if record.level not in self._unshipped]
        if records:
            lines, count = json_lines(records)
            self.tail.add(lines, count)
            self._writer.write(*((lines, count) if self._encode is None else self._encode(records)))

    def close(self, timeout: float) -> None:
        """Write out what waits, for `timeout` seconds at most."""
        self._writer.close(timeout)

    def _count_problems(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.level in ("warn", "error"):
                key = record.component or "other", record.level
                known = key in self.problems or len(self.problems) < MAX_COMPONENTS
                self.problems[key if known else ("other", record.level)] += 1

    def _dropped_line(self, count: int) -> bytes:
        """Return what is written when a reader that had stalled reads again. Called in the writer's thread."""
        record = Record(
            time=timestamp(time.time()),
            level="warn",
            source="exporter",
            event="log_lines_dropped",
            message=f"{count} log lines were dropped because they could not be written fast enough (logs.buffer)",
            fields={"count": count},
        )
        return (self._encode or json_lines)([record])[0]


class Writer:
    """A bounded buffer between the event loop and a file descriptor.

    `write` never blocks. When more than `limit` bytes wait, the oldest lines go; `dropped` counts them, and those that
    cannot be written. When the buffer is empty after that, `dropped_line` makes the line that reports their number.
    """

    def __init__(self, fd: int, limit: int, dropped_line: Callable[[int], bytes]) -> None:
        self._fd = fd
        self._limit = limit
        self._dropped_line = dropped_line
        self._blocks: deque[tuple[bytes, int]] = deque()
        self._waiting = 0
        self._dropped = 0
        self._reported = 0
        self._torn = False
        """Whether the last write ended within a line."""
        self._room = select.poll()
        self._room.register(fd, select.POLLOUT)
        self._closing = False
        self._condition = threading.Condition()
        self._thread = threading.Thread(target=self._write_out, name="log-writer", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines dropped so far."""
        return self._dropped

    def write(self, block: bytes, lines: int) -> None:
        """Queue whole lines, their newlines included."""
        with self._condition:
            self._blocks.append((block, lines))
            self._waiting += len(block)
            while self._waiting > self._limit:
                oldest, count = self._blocks.popleft()
                self._waiting -= len(oldest)
                self._dropped += count
            self._condition.notify()

    def close(self, timeout: float) -> None:
        """Write what waits, for `timeout` seconds at most."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        self._thread.join(timeout)

    def _write_out(self) -> None:
        while True:
            with self._condition:
                while not self._blocks and not self._closing:
                    self._condition.wait()
                if not self._blocks:
                    return
                blocks, count = self._next()
                lost = self._dropped - self._reported if not self._blocks else 0
            unwritten = self._write_blocks([*blocks, self._dropped_line(lost)] if lost else blocks)
            with self._condition:
                if unwritten:  # the line about dropped ones is among them, but is none of those
                    self._dropped += min(count, unwritten - bool(lost))
                else:
                    self._reported += lost

    def _next(self) -> tuple[list[bytes], int]:
        """Take blocks from the front, and the number of their lines."""
        blocks, size, count = [], 0, 0
        while self._blocks and size < WRITTEN_AT_ONCE:
            block, lines = self._blocks.popleft()
            blocks.append(block)
            size += len(block)
            count += lines
        self._waiting -= size
        return blocks, count

    def _write_blocks(self, blocks: Sequence[bytes]) -> int:
        """Write it all; return how many lines could not be written."""
        rest = memoryview(b"".join([b"\n", *blocks] if self._torn else blocks))
        while rest:
            try:
                written = os.write(self._fd, rest)
                self._torn = rest[written - 1] != NEWLINE
                rest = rest[written:]
            except BlockingIOError:  # somebody made the terminal that we share with them non-blocking
                self._room.poll()
            except OSError:  # EPIPE, EIO of a vanished terminal, ENOSPC: these lines are lost, the next may not be
                break
        return bytes(rest).count(b"\n")
