"""The last records, for the page and the API: a ring that can be searched, and listeners that hear each new one."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

import msgspec

from exporter.logs.record import LEVELS, Level, LogSource

WAITING = 1000
"""Records that a listener may lag behind; one that is slower is dropped, and never waited for."""


class _Block(NamedTuple):
    """Records as JSON lines, numbered from `first` to before `end`."""

    lines: bytes
    first: int
    end: int


class _Searched(msgspec.Struct):
    """What a search looks at."""

    level: Level
    source: LogSource
    model: str | None = None
    message: str = ""


_decode = msgspec.json.Decoder(_Searched).decode


class Tail:
    """Keeps the last `size` records, as the JSON lines that they became anyway: keeping them costs nothing a line.

    Records count from 1 in the order of their coming and have no gaps. They are given out as JSON objects with their
    number as `id` in front.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._blocks: deque[_Block] = deque()
        self._count = 0
        self._listeners: set[asyncio.Queue[bytes | None]] = set()

    def resize(self, size: int) -> None:
        """Keep so many from now on."""
        self._size = size

    def add(self, lines: bytes, count: int) -> None:
        """Take the next records as JSON lines."""
        block = _Block(lines, self._count + 1, self._count + 1 + count)
        self._blocks.append(block)
        self._count += count
        while self._blocks[0].end <= self._count - self._size + 1:
            self._blocks.popleft()
        if self._listeners:
            self._tell(block)

    def search(
        self,
        *,
        limit: int,
        level: Level | None = None,
        model: str | None = None,
        source: str | None = None,
        text: str | None = None,
        before: int | None = None,
    ) -> list[bytes]:
        """The newest records first: `limit` of those that are at least of `level` and fit the rest.

        `text` is looked for in messages without regard to case; `before` is a number: only older ones.
        """
        levels = frozenset(LEVELS[LEVELS.index(level) if level else 0 :])
        wanted = text.casefold() if text else None

        def fits(line: bytes) -> bool:
            record = _decode(line)
            return (
                record.level in levels
                and (model is None or record.model == model)
                and (source is None or record.source == source)
                and (wanted is None or wanted in record.message.casefold())
            )

        found = (_numbered(number, line) for number, line in self._newest(before) if fits(line))
        return list(islice(found, limit))

    @contextmanager
    def listen(self) -> Iterator[asyncio.Queue[bytes | None]]:
        """A queue of all records from now on. None in it is its end: the listener was too slow."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(WAITING + 1)
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)

    def _newest(self, before: int | None) -> Iterator[tuple[int, bytes]]:
        oldest = self._count - self._size
        for block in reversed(self._blocks):
            if before is not None and block.first >= before:
                continue
            numbered = list(enumerate(block.lines.splitlines(), block.first))
            for number, line in reversed(numbered):
                if number > oldest and (before is None or number < before):
                    yield number, line

    def _tell(self, block: _Block) -> None:
        entries = [_numbered(number, line) for number, line in enumerate(block.lines.splitlines(), block.first)]
        for queue in list(self._listeners):
            if queue.qsize() + len(entries) > WAITING:
                self._listeners.discard(queue)
                queue.put_nowait(None)
                continue
            for entry in entries:
                queue.put_nowait(entry)


def _numbered(number: int, line: bytes) -> bytes:
    return b'{"id":%d,' % number + line[1:]
