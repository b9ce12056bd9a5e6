"""JSON lines out to stdout, from a thread of their own, so that a stalled reader stops nothing else."""

import os
import threading
from collections import deque


class Sink:
    """A bounded buffer between the event loop and a file descriptor.

    `write` never blocks. When more than `limit` bytes wait, the oldest lines go and are counted in `dropped`.
    """

    def __init__(self, fd: int, limit: int) -> None:
        self._fd = fd
        self._limit = limit
        self._lines: deque[bytes] = deque()
        self._waiting = 0
        self._dropped = 0
        self._closing = False
        self._condition = threading.Condition()
        self._thread = threading.Thread(target=self._write_out, name="log-sink", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines given up so far."""
        return self._dropped

    def write(self, line: bytes) -> None:
        """Queue one line, its newline included."""
        with self._condition:
            self._lines.append(line)
            self._waiting += len(line)
            while self._waiting > self._limit:
                self._waiting -= len(self._lines.popleft())
                self._dropped += 1
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
                while not self._lines and not self._closing:
                    self._condition.wait()
                if not self._lines:
                    return
                block = b"".join(self._lines)
                count = len(self._lines)
                self._lines.clear()
                self._waiting = 0
            if not self._write_block(block):
                with self._condition:
                    self._dropped += count

    def _write_block(self, block: bytes) -> bool:
        """Write it all; False when nobody reads any more (the other end of the pipe is closed)."""
        view = memoryview(block)
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except OSError:  # EPIPE, EIO of a vanished terminal, ENOSPC: nothing to be done about a lost stdout
                return False
        return True
