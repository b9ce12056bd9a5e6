"""Limits on connections that have not sent a request: slow clients must not keep others out.

A connection is pending until the head of its first request is complete. It has a few seconds for that, and when there
are too many the oldest is closed: a client that sends its request at once is never the oldest. aiohttp gets the others.
"""

import asyncio
import resource
from collections.abc import Callable

from aiohttp import web

HEAD_TIMEOUT = 10.0
"""Seconds from the connection to the end of its first request's head."""
MAX_HEAD = 64 * 1024
"""Bytes; aiohttp's own limits, which answer with an error, are below."""
MAX_PENDING = 512
MAX_CONNECTIONS = 2048


def connection_limit() -> int:
    """Return how many connections may exist: half of the file descriptors is for everything else."""
    return min(MAX_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)


class ConnectionLimits:
    """Makes protocols for a listening socket, in front of aiohttp's own `server`."""

    def __init__(self, server: Callable[[], web.Server], limit: int) -> None:
        self._server = server
        self._limit = limit
        self._pending: dict[PendingConnection, None] = {}

    def __call__(self) -> "PendingConnection":
        """Return a protocol for a new connection."""
        return PendingConnection(self)

    def add(self, connection: "PendingConnection") -> None:
        """Add a pending connection, and close the oldest when there are too many."""
        self._pending[connection] = None
        if len(self._pending) > min(MAX_PENDING, self._limit):
            next(iter(self._pending)).close()

    def remove(self, connection: "PendingConnection") -> None:
        """Remove a connection that has closed or sent its request."""
        self._pending.pop(connection, None)

    def admit(self, transport: asyncio.Transport, head: bytes) -> None:
        """Hand a connection whose request has begun to aiohttp, or close it when there are too many."""
        server = self._server()
        if len(server.connections) >= self._limit:
            transport.abort()
            return
        handler = server()
        transport.set_protocol(handler)
        handler.connection_made(transport)
        handler.data_received(head)


class PendingConnection(asyncio.Protocol):
    """A connection that has not sent a request yet."""

    _transport: asyncio.Transport

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._head = bytearray()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the timer."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 -- what asyncio gives for TCP
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(HEAD_TIMEOUT, self.close)
        self._limits.add(self)

    def data_received(self, data: bytes) -> None:
        """Wait for the empty line that ends a head (RFC 9112)."""
        searched = max(0, len(self._head) - 3)
        self._head += data
        if self._head.find(b"\r\n\r\n", searched) >= 0 or len(self._head) > MAX_HEAD:
            self._settle()
            self._limits.admit(self._transport, bytes(self._head))

    def connection_lost(self, _: Exception | None) -> None:
        """Remove the connection: it closed without a request."""
        self._settle()

    def close(self) -> None:
        """Close it without an answer: there is no request to answer."""
        self._settle()
        self._transport.abort()

    def _settle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._limits.remove(self)
