"""From a pipe to lines: read in large pieces on the event loop, whatever the cuts."""

import asyncio
import contextlib
import fcntl
import os
import sys
from collections.abc import Callable

CHUNK = 256 * 1024
PIPE_SIZE = 1024 * 1024
"""Slack for a burst while the loop is busy: llama-server's logger blocks when its pipe is full."""
IDLE_FLUSH = 0.05
"""Seconds of silence after which a held record or a partial line is given out."""
MAX_LINE = 1024 * 1024
"""Bytes without a newline that are taken as a line of their own, so that memory stays bounded."""
F_SETPIPE_SZ = 1031  # linux/fcntl.h; fcntl.F_SETPIPE_SZ exists on Linux only


class Pump:
    """Reads `fd` to its end: `lines` gets each batch of whole lines, `idle` is called after a silence and at the end.

    The last line counts though its newline is missing. `read_bytes` counts what was read. Closes `fd`.
    """

    def __init__(self, fd: int, lines: Callable[[list[str]], None], idle: Callable[[], None]) -> None:
        self._fd = fd
        self._lines = lines
        self._idle = idle
        self._rest = b""
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self.read_bytes = 0
        os.set_blocking(fd, False)
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # the user's quota of pipe memory is used up: the default works as well
                fcntl.fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE)
        self._loop.add_reader(fd, self._readable)

    async def wait(self) -> None:
        """Wait for the end: every process that held the other side of the pipe has closed it."""
        await self._ended.wait()

    def stop(self) -> None:
        """Read no further: what is in the pipe now is taken, and the pipe closed."""
        while not self._ended.is_set():
            if not self._read():
                self._finish()

    def catch_up(self) -> None:
        """Read now what is in the pipe now."""
        while not self._ended.is_set() and self._read():
            continue

    def _readable(self) -> None:
        self._read()

    def _read(self) -> bool:
        """Take one piece. False when there was nothing to take."""
        try:
            data = os.read(self._fd, CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._finish()
            return True
        self.read_bytes += len(data)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(IDLE_FLUSH, self._silent)
        whole, newline, rest = data.rpartition(b"\n")
        if newline:
            self._give(self._rest + whole)
            self._rest = rest
        else:
            self._rest += data
        while len(self._rest) > MAX_LINE:
            self._give(self._rest[:MAX_LINE])
            self._rest = self._rest[MAX_LINE:]
        return True

    def _give(self, block: bytes) -> None:
        # split("\n") and not splitlines(): a lone \r or U+2028 inside a message ends no line.
        lines = block.decode("utf-8", "replace").split("\n")
        self._lines([line.removesuffix("\r") for line in lines])

    def _silent(self) -> None:
        self._timer = None
        self._idle()

    def _finish(self) -> None:
        if self._ended.is_set():
            return
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        if self._timer is not None:
            self._timer.cancel()
        if self._rest:
            self._give(self._rest)
            self._rest = b""
        self._idle()
        self._ended.set()
