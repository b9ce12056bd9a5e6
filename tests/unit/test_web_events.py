import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from exporter.logs.tail import Tail
from exporter.supervisor.states import State
from exporter.web.api.stream import BACKLOG, LIVE, Client
from tests.support import eventually
from tests.web_server import MemoryRouter, listeners, say, serving


class Reader:
    """A client of the events, and all that it got."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self.ended = False

    async def read(self, response: aiohttp.ClientResponse) -> None:
        name = ""
        try:
            async for line in response.content:
                key, _, value = line.decode().rstrip("\n").partition(": ")
                if key == "event":
                    name = value
                elif key == "data":
                    self.events.append((name, json.loads(value)))
        finally:
            self.ended = True

    def of(self, name: str) -> list[Any]:
        return [data for kind, data in self.events if kind == name]


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[Reader]:
    async with aiohttp.ClientSession() as client, client.get(f"{url}/api/v1/events") as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        reader = Reader()
        task = asyncio.create_task(reader.read(response))
        try:
            yield reader
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_status_at_once_and_when_it_changes_and_numbers_and_records() -> None:
    tail = Tail(100)
    async with serving(tail) as it, reading(it.url) as one, reading(it.url) as other:
        await eventually(lambda: one.of("status") and other.of("metrics"))
        assert one.of("status")[0]["state"] == "stopped"
        assert set(other.of("metrics")[0]) == {*LIVE, "point"}
        await eventually(lambda: listeners(tail))
        seen = say(tail, message="two\nlines")
        await eventually(lambda: one.of("log") and other.of("log"))
        assert one.of("log") == other.of("log") == [seen]
        before = len(one.of("metrics"))
        it.snapshot = replace(it.snapshot, state=State.STARTING, pid=7)
        await eventually(lambda: len(one.of("status")) == 2)
        assert (one.of("status")[1]["state"], one.of("status")[1]["pid"]) == ("starting", 7)
        await eventually(lambda: len(one.of("metrics")) > before + 1)
        assert len(one.of("status")) == 2  # no more than changed


async def test_nothing_is_asked_while_nobody_reads() -> None:
    tail = Tail(100)
    async with serving(tail) as it:
        async with reading(it.url), reading(it.url):
            await eventually(lambda: listeners(tail) == 1)
        await eventually(lambda: listeners(tail) == 0)
        async with reading(it.url) as again:
            await eventually(lambda: listeners(tail) == 1 and again.of("metrics"))


async def until_cut_off(reader: asyncio.StreamReader) -> None:
    try:
        while await reader.read(1 << 16):
            continue
    except ConnectionResetError:
        return


async def test_a_reader_that_does_not_read_is_cut_off_and_the_others_get_all() -> None:
    tail = Tail(100)
    async with serving(tail) as it:
        host, port = it.url.removeprefix("http://").split(":")
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        small.connect((host, int(port)))
        reader, writer = await asyncio.open_connection(sock=small, limit=1024)
        writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        async with reading(it.url) as good:
            await eventually(lambda: listeners(tail) == 1)
            count = 0
            while count < 16 * BACKLOG // 10_000:  # more than the backlog and what sockets hold
                say(tail, message="x" * 10_000)
                count += 1
                await asyncio.sleep(0)
            await eventually(lambda: len(good.of("log")) == count)
            await asyncio.wait_for(until_cut_off(reader), 10)
            assert not good.ended
        writer.close()


async def test_a_stop_ends_the_streams_and_does_not_wait_for_them() -> None:
    async with contextlib.AsyncExitStack() as stack:
        it = await stack.enter_async_context(serving())
        client = await stack.enter_async_context(aiohttp.ClientSession())
        response = await stack.enter_async_context(client.get(f"{it.url}/api/v1/events"))
        reader = Reader()
        task = asyncio.create_task(reader.read(response))
        await eventually(lambda: reader.of("status"))
        begun = time.monotonic()
        await it.stop()
        await task
        assert time.monotonic() - begun < 0.9  # below what a shutdown gives to requests that run


async def test_a_backlog_is_bounded() -> None:
    cut: list[bool] = []
    client = Client(lambda: cut.append(True))
    client.put(b"a" * (BACKLOG // 2))
    assert await client.take() == b"a" * (BACKLOG // 2)
    client.put(b"a" * (BACKLOG // 2))
    client.put(b"b" * (BACKLOG // 2))
    assert not cut
    client.put(b"c")
    assert cut
    assert await client.take() == b""
    client.put(b"d")
    assert await client.take() == b""


async def get(url: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as client, client.get(url) as response:
        return response.status, await response.json(content_type=None)


async def test_logs_are_searched_as_asked() -> None:
    tail = Tail(100)
    for number in range(5):
        level, source = ("info", "warn")[number % 2], ("exporter", "llama-server")[number == 3]
        say(tail, message=f"Line {number} x ", level=level, source=source, model="a/b" if number == 3 else None)
    async with serving(tail) as it:

        async def ids(query: str) -> list[int]:
            status, answer = await get(f"{it.url}/api/v1/logs?{query}")
            assert status == 200
            return [record["id"] for record in answer["records"]]

        assert await ids("limit=2") == [5, 4]
        assert await ids("before=4") == [3, 2, 1]
        assert await ids("level=warn") == [4, 2]
        assert await ids("level=warn&model=a%2Fb&source=llama-server&search=line%203%20x%20&before=5") == [4]
        assert await ids("search=nothing") == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("limit=0", "limit has to be 1 to 1000"),
        ("limit=1001", "limit has to be 1 to 1000"),
        ("limit=%D9%A1", "limit has to be 1 to 1000"),
        ("limit=-1", "limit has to be 1 to 1000"),
        ("level=loud", "level 'loud' is none of: debug, info, warn, error"),
        ("source=me", "source 'me' is none of: llama-server, exporter"),
        ("before=yesterday", "before has to be the id of a record"),
        ("levels=info", "unknown parameter levels; there are: limit, level"),
        (f"search={'x' * 2000}", "at most 200 characters"),
    ],
)
async def test_a_bad_search_is_told_what_is_right(query: str, message: str) -> None:
    async with serving(Tail(100)) as it:
        status, answer = await get(f"{it.url}/api/v1/logs?{query}")
        assert (status, message in answer["detail"]) == (400, True)


async def test_models_of_a_router() -> None:
    async with serving(models=MemoryRouter()) as it, aiohttp.ClientSession() as client:

        async def order(what: str, model: str) -> tuple[int, Any]:
            async with client.post(f"{it.url}/api/v1/models/{what}", json={"model": model}) as response:
                return response.status, await response.json(content_type=None)

        status, answer = await get(f"{it.url}/api/v1/models")
        assert (status, [model["id"] for model in answer["models"]]) == (200, ["a", "b/c:Q4", "broken"])
        for what, model, state in (("load", "a", "loading"), ("unload", "b/c:Q4", "unloaded")):
            status, answer = await order(what, model)
            assert (status, answer["id"], answer["state"]) == (202, model, state)
        status, answer = await order("load", "nobody")
        assert (status, "knows no model 'nobody'" in answer["detail"]) == (404, True)
        status, answer = await order("load", "broken")
        assert (status, answer["detail"]) == (502, "llama-server refused: POST /models/load answered 400")
