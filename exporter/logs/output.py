"""Records to stdout: encoded as JSON or text lines, written by a thread of its own."""

import os
import select
import threading
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from exporter.logs.record import Level, Record

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


MAX_LINE = 16 * 1024
"""Bytes of a JSON line at most, its newline included: Docker splits longer ones."""
SAFE = 2048
"""Characters of a message with which no line can be longer, however it has to be escaped (six bytes a character)."""

_encoder = msgspec.json.Encoder()
Encoder = Callable[[Sequence[Record]], tuple[bytes, int]]
"""Records to bytes, and the number of lines in them."""


def encode(record: Record) -> bytes:
    """The record as one JSON line, newline included, whatever its length."""
    fields = record.fields
    if fields is None:
        return _encoder.encode(record) + b"\n"
    head = _encoder.encode(msgspec.structs.replace(record, fields=None))
    return head[:-1] + b"," + _encoder.encode(fields)[1:] + b"\n" if fields else head + b"\n"


def json_lines(records: Sequence[Record]) -> tuple[bytes, int]:
    """The records as JSON lines; one that would be too long as several, numbered by `part` of `parts`."""
    blocks: list[bytes] = []
    count = plain = 0
    for index, record in enumerate(records):
        if record.fields is None and len(record.message) <= SAFE:
            continue
        pieces = [encode(piece) for piece in cut(record)]
        blocks += (_encoder.encode_lines(records[plain:index]), *pieces)
        count += index - plain + len(pieces)
        plain = index + 1
    blocks.append(_encoder.encode_lines(records[plain:]))
    return b"".join(blocks), count + len(records) - plain


def cut(record: Record) -> Sequence[Record]:
    """The record, or as many as it takes for lines within `MAX_LINE`; their messages one behind the other are its."""
    if len(record.message) <= SAFE or len(encode(record)) <= MAX_LINE:
        return (record,)
    message, pieces = record.message, []
    room = MAX_LINE - len(encode(msgspec.structs.replace(record, message=""))) - len(',"part":100000,"parts":100000')
    begin = 0
    while begin < len(message):
        size = room
        while len(_encoder.encode(message[begin : begin + size])) - 2 > room:
            size //= 2
        pieces.append(message[begin : begin + size])
        begin += size
    fields = record.fields or {}
    return [
        msgspec.structs.replace(record, message=piece, fields={**fields, "part": number, "parts": len(pieces)})
        for number, piece in enumerate(pieces, 1)
    ]


COLOURS: dict[Level, str] = {"debug": "\x1b[2m", "info": "", "warn": "\x1b[33m", "error": "\x1b[31m"}
RESET = "\x1b[0m"
CONTROL = dict.fromkeys((*range(9), *range(11, 32), *range(127, 160)), "�")
"""What could move a terminal's cursor or change its title is not passed on to it."""
INDENT = " " * 27
"""Where the lines of a message stand below its first."""


def text_lines(*, colour: bool) -> Encoder:
    """An encoder for people at a terminal: local time, level, who speaks, the message, an event's own fields."""

    def encode_text(records: Sequence[Record]) -> tuple[bytes, int]:
        lines = [_text(record, colour=colour) for record in records]
        return "".join(lines).encode("utf-8", "replace"), len(lines)

    return encode_text


def _text(record: Record, *, colour: bool) -> str:
    who = record.model or ("" if record.source == "llama-server" else record.source)
    where = f"slot {record.slot} task {record.task} | " if record.slot is not None else ""
    fields = "".join(f" {key}={value}" for key, value in record.more().items())
    message = record.message.translate(CONTROL).replace("\n", f"\n{INDENT}")
    head = f"{record.time[11:23]} {record.level:<5} {who:<8}{where}{message}"
    begin = COLOURS[record.level] if colour else ""
    return f"{begin}{head}{fields}{RESET if begin else ''}\n"
