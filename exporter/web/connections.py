"""Connections before they are worth a handler: slow clients and too many of them must not keep others out.

A connection is a newcomer until the head of its first request is complete. Newcomers have a few seconds, and when there
are too many the oldest goes: who sends its request at once is never the oldest. aiohttp gets those that have asked.
"""

import asyncio
import resource
from collections.abc import Callable

from aiohttp import web

HEAD_TIMEOUT = 10.0
"""Seconds from the connection to the end of its first request's head."""
MAX_HEAD = 64 * 1024
"""Bytes; aiohttp's own limits, which answer with an error, are below."""
MAX_NEWCOMERS = 512
MAX_CONNECTIONS = 2048


def connection_limit() -> int:
    """Connections at most: half of the file descriptors that this process may have is for everything else."""
    return min(MAX_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)


class Doorman:
    """Makes protocols for a listening socket, in front of aiohttp's own `server`."""

    def __init__(self, server: Callable[[], web.Server], limit: int) -> None:
        self._server = server
        self._limit = limit
        self._newcomers: dict[Newcomer, None] = {}

    def __call__(self) -> "Newcomer":
        """A protocol for a new connection."""
        return Newcomer(self)

    def came(self, newcomer: "Newcomer") -> None:
        """Take a newcomer in, and put out the oldest when there are too many."""
        self._newcomers[newcomer] = None
        if len(self._newcomers) > min(MAX_NEWCOMERS, self._limit):
            next(iter(self._newcomers)).put_out()

    def left(self, newcomer: "Newcomer") -> None:
        """Forget a newcomer: it went, or it asked."""
        self._newcomers.pop(newcomer, None)

    def admit(self, transport: asyncio.Transport, head: bytes) -> None:
        """Hand a connection whose request has begun to aiohttp, or close it when the house is full."""
        server = self._server()
        if len(server.connections) >= self._limit:
            transport.abort()
            return
        handler = server()
        transport.set_protocol(handler)
        handler.connection_made(transport)
        handler.data_received(head)


class Newcomer(asyncio.Protocol):
    """A connection that has not asked for anything yet."""

    _transport: asyncio.Transport

    def __init__(self, doorman: Doorman) -> None:
        self._doorman = doorman
        self._head = bytearray()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 -- what asyncio gives for TCP
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(HEAD_TIMEOUT, self.put_out)
        self._doorman.came(self)

    def data_received(self, data: bytes) -> None:
        """Wait for the empty line that ends a head (RFC 9112)."""
        searched = max(0, len(self._head) - 3)
        self._head += data
        if self._head.find(b"\r\n\r\n", searched) >= 0 or len(self._head) > MAX_HEAD:
            self._gone()
            self._doorman.admit(self._transport, bytes(self._head))

    def connection_lost(self, _: Exception | None) -> None:
        """It went without asking."""
        self._gone()

    def put_out(self) -> None:
        """Close it without a word: it has said nothing that could be answered."""
        self._gone()
        self._transport.abort()

    def _gone(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._doorman.left(self)
