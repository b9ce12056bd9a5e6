"""`GET /api/v1/events`: status, numbers and log records as they come (server-sent events, HTML Living Standard 9.2).

One task makes the events and puts them before every client. A client has a bounded backlog; who does not read is cut
off, so that nobody is waited for.
"""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress

import msgspec
from aiohttp import web

from exporter.logs.tail import Tail
from exporter.metrics.history import History
from exporter.tasks import Border
from exporter.web.connections import connection_limit

INTERVAL = 0.25
"""Seconds between two looks at the status."""
LOOKS_PER_METRICS = 4
"""The numbers are sent once in so many looks."""
BACKLOG = 1024 * 1024
"""Bytes that may wait for one client."""
FAIR_SHARE = 100
"""Records put before the clients at once; then these may write."""
LIVE = ("uptime_seconds", "tokens_per_second", "requests_running", "activity")
"""What of the status changes all the time: the event `metrics`, with the last point of the history; the rest is the
event `status`."""


class Client:
    """One reader: events that wait for it, and whether it is still one."""

    def __init__(self, cut_off: Callable[[], None]) -> None:
        self._waiting: list[bytes] = []
        self._size = 0
        self._come = asyncio.Event()
        self._cut_off = cut_off
        self.gone = False

    def put(self, event: bytes) -> None:
        """Let an event wait, or cut the client off when too much does."""
        if self.gone:
            return
        self._waiting.append(event)
        self._size += len(event)
        if self._size > BACKLOG:
            self.end()
            self._cut_off()
        self._come.set()

    def end(self) -> None:
        """Let `take` return nothing from now on."""
        self.gone = True
        self._waiting.clear()
        self._come.set()

    async def take(self) -> bytes:
        """All that waits, as soon as something does; nothing when this is the end."""
        await self._come.wait()
        if not self.gone:
            self._come.clear()
        taken, self._waiting, self._size = b"".join(self._waiting), [], 0
        return taken


class EventsHandler:
    """Any number of clients below the limit of connections. Costs nothing while there is none."""

    def __init__(self, current: Callable[[], dict[str, object]], tail: Tail, history: History, border: Border) -> None:
        self._current = current
        self._tail = tail
        self._history = history
        self._border = border
        self._clients: dict[Client, None] = {}
        self._sources: list[asyncio.Task[None]] = []
        self._limit = connection_limit() * 3 // 4

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Events until the client goes."""
        if len(self._clients) >= self._limit:
            raise web.HTTPServiceUnavailable(text="too many readers of events", headers={"Retry-After": "10"})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        await response.prepare(request)
        transport = request.transport
        client = Client(transport.abort if transport is not None else lambda: None)
        client.put(b"retry: 2000\n\n" + self._status())
        self._clients[client] = None
        if not self._sources:
            self._sources = [
                asyncio.create_task(self._border.keep_running("events of the status", self._look)),
                asyncio.create_task(self._border.keep_running("events of the log", self._follow)),
            ]
        try:
            with suppress(ConnectionError):  # a reader that goes away is no error
                while events := await client.take():
                    await response.write(events)
        finally:
            client.end()
            del self._clients[client]
            if not self._clients:
                self._stop()
        return response

    async def shutdown(self, _: web.Application) -> None:
        """End all streams."""
        for client in list(self._clients):
            client.end()
        self._stop()

    def _stop(self) -> None:
        for task in self._sources:
            task.cancel()
        self._sources = []

    def _publish(self, event: bytes) -> None:
        for client in list(self._clients):
            client.put(event)

    async def _look(self) -> None:
        before = self._status()
        for look in itertools.count():
            status = self._status()
            if status != before:
                self._publish(status)
            before = status
            if look % LOOKS_PER_METRICS == 0:
                self._publish(self._metrics())
            await asyncio.sleep(INTERVAL)

    async def _follow(self) -> None:
        """Pass on each record. In a flood some are passed over: their ids show it, and the search has them."""
        while True:
            with self._tail.listen() as records:
                for count in itertools.count(1):
                    record = await records.get()
                    if record is None:
                        break
                    self._publish(b"event: log\ndata: " + record + b"\n\n")
                    if count % FAIR_SHARE == 0:
                        await asyncio.sleep(0)

    def _metrics(self) -> bytes:
        current, points = self._current(), self._history.points
        return _event("metrics", {name: current[name] for name in LIVE} | {"point": points[-1] if points else None})

    def _status(self) -> bytes:
        return _event("status", {name: value for name, value in self._current().items() if name not in LIVE})


def _event(name: str, data: object) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(data) + b"\n\n"
