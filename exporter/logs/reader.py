"""From a pipe to lines: read in large pieces on the event loop, whatever the cuts."""

import asyncio
import contextlib
import fcntl
import os
import sys
from collections.abc import Callable

CHUNK = 256 * 1024
PIPE_SIZE = 1024 * 1024
"""Slack for a burst while the loop is busy or we pause: llama-server's logger blocks when its pipe is full."""
BUSY = 64 * 1024
"""Bytes of a piece from which on the next is read at once."""
PAUSE = 0.05
"""Seconds before the next piece while lines trickle, since waking up costs more than a line; and of silence after which
a held record or a partial line is given out."""
MAX_LINE = 1024 * 1024
"""Bytes without a newline that are taken as a line of their own, so that memory stays bounded."""
F_SETPIPE_SZ = 1031  # linux/fcntl.h; fcntl.F_SETPIPE_SZ exists on Linux only


class Pump:
    """Reads `fd` to its end: `lines` gets each block of whole lines, `idle` is called after a silence and at the end.

    A block ends with a newline, also where the last line has none. `read_bytes` counts what was read. Closes `fd`.
    """

    def __init__(self, fd: int, lines: Callable[[str], None], idle: Callable[[], None]) -> None:
        self._fd = fd
        self._lines = lines
        self._idle = idle
        self._rest = b""
        self._turn: asyncio.Handle | None = None
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self.read_bytes = 0
        os.set_blocking(fd, False)
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # the user's quota of pipe memory is used up: the default works as well
                fcntl.fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE)
        self._loop.add_reader(fd, self._begin)

    async def wait(self) -> None:
        """Wait for the end: every process that held the other side of the pipe has closed it."""
        await self._ended.wait()

    def stop(self) -> None:
        """Read no further: what is in the pipe now is taken, and the pipe closed."""
        self.catch_up()
        self._finish()

    def catch_up(self) -> None:
        """Read now what is in the pipe now."""
        while self._read():
            continue

    def _begin(self) -> None:
        """Something has come after a silence."""
        self._loop.remove_reader(self._fd)
        self._take_turn()

    def _take_turn(self) -> None:
        size = self._read()
        if self._ended.is_set():
            return
        if size >= BUSY:
            self._turn = self._loop.call_soon(self._take_turn)
        elif size:
            self._turn = self._loop.call_later(PAUSE, self._take_turn)
        else:
            self._idle()
            self._loop.add_reader(self._fd, self._begin)

    def _read(self) -> int:
        """Take one piece: its size, 0 when there was nothing to take, or nothing will come any more."""
        if self._ended.is_set():
            return 0
        try:
            data = os.read(self._fd, CHUNK)
        except BlockingIOError:
            return 0
        if not data:
            self._finish()
            return 0
        self.read_bytes += len(data)
        whole, newline, rest = data.rpartition(b"\n")
        if newline:
            self._lines((self._rest + whole + newline).decode("utf-8", "replace"))
            self._rest = rest
        else:
            self._rest += data
        while len(self._rest) > MAX_LINE:
            self._lines(self._rest[:MAX_LINE].decode("utf-8", "replace") + "\n")
            self._rest = self._rest[MAX_LINE:]
        return len(data)

    def _finish(self) -> None:
        if self._ended.is_set():
            return
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        if self._turn is not None:
            self._turn.cancel()
        if self._rest:
            self._lines(self._rest.decode("utf-8", "replace") + "\n")
            self._rest = b""
        self._idle()
        self._ended.set()
