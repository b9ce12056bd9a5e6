"""Lines out to stdout, from a thread of their own, so that a stalled reader stops nothing else."""

import os
import select
import threading
from collections import deque
from collections.abc import Callable

WRITTEN_AT_ONCE = 1024 * 1024
"""Bytes that are on their way at most: what is on its way can't be dropped any more."""


class Sink:
    """A bounded buffer between the event loop and a file descriptor.

    `write` never blocks. When more than `limit` bytes wait, the oldest lines go; `dropped` counts them, those that
    nobody could be given included. When it drains after that, `drained` makes the line that says so from their number.
    """

    def __init__(self, fd: int, limit: int, drained: Callable[[int], bytes]) -> None:
        self._fd = fd
        self._limit = limit
        self._drained = drained
        self._blocks: deque[tuple[bytes, int]] = deque()
        self._waiting = 0
        self._dropped = 0
        self._told = 0
        self._closing = False
        self._condition = threading.Condition()
        self._thread = threading.Thread(target=self._write_out, name="log-sink", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines given up so far."""
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
                lost = self._dropped - self._told if not self._blocks else 0
                self._told += lost
            if lost:
                blocks.append(self._drained(lost))
            if not self._write_block(b"".join(blocks)):
                with self._condition:
                    self._dropped += count
                    self._told += count  # there is nobody to tell

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

    def _write_block(self, block: bytes) -> bool:
        """Write it all; False when nobody reads any more (the other end of the pipe is closed)."""
        view = memoryview(block)
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:  # somebody made the terminal that we share with them non-blocking
                select.select([], [self._fd], [])
            except OSError:  # EPIPE, EIO of a vanished terminal, ENOSPC: nothing to be done about a lost stdout
                return False
        return True
