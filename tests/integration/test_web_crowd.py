"""Many and slow clients on real sockets: a scrape does not notice them."""

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exporter.web.connections import HEAD_TIMEOUT, MAX_PENDING
from tests.integration.program import Program, exporter
from tests.support import FAKE

READERS = 1000
SLOW = MAX_PENDING + 88
FILES = 4000
"""File descriptors with which the exporter, which takes half of them for connections, takes in the crowd."""
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process and its children open as many files as the crowd needs."""
    limits = limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limit, FILES), most))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@asynccontextmanager
async def connections(it: Program, count: int, request: bytes) -> AsyncIterator[list[Connection]]:
    """So many connections that have sent `request`."""
    port = int(it.url.rpartition(":")[2])
    opened: list[Connection] = []
    try:
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            opened.append((reader, writer))
        yield opened
    finally:
        for _, writer in opened:
            writer.transport.abort()
        await asyncio.sleep(0)


async def slowest_scrape(it: Program, count: int = 5) -> float:
    """Seconds of the slowest of some scrapes, each over a connection of its own."""
    slowest = 0.0
    for _ in range(count):
        begun = time.monotonic()
        assert (await it.get("/metrics", Connection="close"))[0] == 200
        slowest = max(slowest, time.monotonic() - begun)
    return slowest


@pytest.mark.usefixtures("many_files")
async def test_a_thousand_readers_and_a_slow_crowd_do_not_disturb_a_scrape(tmp_path: Path) -> None:
    events = b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with exporter(command=FAKE, folder=tmp_path) as it:
        await it.until("ready")
        alone = await slowest_scrape(it)
        async with connections(it, READERS, events) as readers:
            for reader, _ in readers:
                assert await asyncio.wait_for(reader.readline(), 10) == b"HTTP/1.1 200 OK\r\n"
            async with connections(it, SLOW, b"GET /metrics HTTP/1.1\r\nHost: localh") as slow:
                for _, writer in slow:
                    writer.write(b"o")
                crowded = await slowest_scrape(it)
                # A second is a fifth of the time that a scrape has; alone it takes a few hundredths.
                assert crowded < alone + 1, (alone, crowded)
                # The oldest that had not asked were put out for the youngest.
                for reader, _ in slow[: SLOW - MAX_PENDING]:
                    assert await asyncio.wait_for(ended(reader), 5)
                assert not slow[-1][0].at_eof()
        assert len(readers) == READERS


async def ended(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


async def test_who_says_nothing_is_put_out_in_time(tmp_path: Path) -> None:
    async with exporter(command=FAKE, server={"autostart": False}, folder=tmp_path) as it:
        begun = time.monotonic()
        async with connections(it, 3, b"GET /metrics HTTP/1.1\r\n") as slow:
            for reader, writer in slow:
                writer.write(b"X-A: b\r\n")
                assert await asyncio.wait_for(ended(reader), HEAD_TIMEOUT + 5)
        assert time.monotonic() - begun > HEAD_TIMEOUT / 2


async def test_a_head_in_pieces_and_one_that_is_too_long(tmp_path: Path) -> None:
    async with exporter(command=FAKE, server={"autostart": False}, folder=tmp_path) as it:
        async with connections(it, 1, b"") as ((reader, writer),):
            for byte in b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n":
                writer.write(bytes([byte]))
                await writer.drain()
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        async with connections(it, 1, b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n") as ((reader, _),):
            assert await reader.readline() == b"HTTP/1.0 400 Bad Request\r\n"
        assert (await it.get("/-/healthy"))[0] == 200


async def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    events = b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with exporter(command=FAKE, server={"autostart": False}, folder=tmp_path) as it:
        async with connections(it, 2, events) as ((gone, leaving), (stays, _)):
            await gone.readuntil(b"event: metrics")
            leaving.transport.abort()
            for _ in range(3):  # the first could not be told any more that the other one is
                await stays.readuntil(b"event: metrics")
        await it.end()
        assert [line for line in it.lines if line["level"] == "error"] == []
