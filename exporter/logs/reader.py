"""From a pipe to lines: read in large pieces on the event loop, whatever the cuts."""

import asyncio
import contextlib
import fcntl
import os
import sys
from collections.abc import Callable

from exporter.tasks import Border

READER = "log reader"  # in the counts of failures
CHUNK = 256 * 1024
PIPE_SIZE = 1024 * 1024
"""Slack for a burst while the loop is busy or we pause: llama-server's logger blocks when its pipe is full."""
BUSY = 64 * 1024
"""Bytes of a piece from which on the next is read at once."""
PAUSE = 0.05
"""Seconds before the next piece while lines trickle, since waking up costs more than a line; of silence after which a
held record is given out; and before the next try after a failure."""
MAX_UNENDED = 1024 * 1024
"""Bytes without a newline that are taken as a line of their own, so that memory stays bounded."""
F_SETPIPE_SZ = 1031  # linux/fcntl.h; fcntl.F_SETPIPE_SZ exists on Linux only


class PipeReader:
    """Reads `fd` to its end. `lines` gets blocks of whole lines; `silence` is called after a silence and at the end.

    A block ends with a newline, also where the last line has none. `read_bytes` counts what was read. Closes `fd`.
    A failure, of a callback too, is counted in `border`, and reading goes on: llama-server blocks when nobody reads.
    """

    def __init__(self, fd: int, lines: Callable[[str], None], silence: Callable[[], None], border: Border) -> None:
        self._fd = fd
        self._lines = border.callback(READER, lines)
        self._silence = border.callback(READER, silence)
        self._border = border
        self._rest = b""
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self.read_bytes = 0
        os.set_blocking(fd, False)
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # the user's quota of pipe memory is used up: the default works as well
                fcntl.fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE)
        self._turn: asyncio.Handle = self._loop.call_soon(self._take_turn)

    async def wait(self) -> None:
        """Wait for the end: every process that held the other side of the pipe has closed it."""
        await self._ended.wait()

    def stop(self) -> None:
        """Read no further: take what is in the pipe now, and close it."""
        self.catch_up()
        self._finish()

    def catch_up(self) -> None:
        """Read what is in the pipe now, and no more: a process that writes without a pause would hold the loop."""
        limit = self.read_bytes + PIPE_SIZE
        try:
            while self.read_bytes < limit and self._read():
                pass
        except Exception as error:  # noqa: BLE001 -- the border of a reader
            self._border.failed(READER, error)

    def _begin(self) -> None:
        """Begin to read after a silence."""
        self._loop.remove_reader(self._fd)
        self._take_turn()

    def _take_turn(self) -> None:
        size = 0
        try:
            size = self._read()
            if self._ended.is_set():
                return
            if not size:
                self._silence()
                self._loop.add_reader(self._fd, self._begin)
                return
        except Exception as error:  # noqa: BLE001 -- the border of a reader
            self._border.failed(READER, error)
        if size >= BUSY:
            self._turn = self._loop.call_soon(self._take_turn)
        else:
            self._turn = self._loop.call_later(PAUSE, self._take_turn)

    def _read(self) -> int:
        """Read one piece and return its size; 0 when there is nothing now, or nothing will come any more."""
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
        while len(self._rest) > MAX_UNENDED:
            self._lines(self._rest[:MAX_UNENDED].decode("utf-8", "replace") + "\n")
            self._rest = self._rest[MAX_UNENDED:]
        return len(data)

    def _finish(self) -> None:
        if self._ended.is_set():
            return
        self._ended.set()
        self._turn.cancel()
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        if self._rest:
            self._lines(self._rest.decode("utf-8", "replace") + "\n")
            self._rest = b""
        self._silence()
