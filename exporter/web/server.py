"""The HTTP server's sockets, plain or TLS, and the watch over the files that lock them."""

import asyncio
import socket
import ssl

from aiohttp import web
from loguru import logger

from exporter.config import ConfigErrors, Web, split_address
from exporter.web.auth.credentials import read_locks, stamps
from exporter.web.auth.guard import Guard
from exporter.web.connections import Doorman, connection_limit
from exporter.web.routes import Headers, Services, build_application

SHUTDOWN_TIMEOUT = 1.0
KEEPALIVE_TIMEOUT = 75.0
"""Seconds that a connection may be idle between two requests: above the usual scrape intervals."""
HANDSHAKE_TIMEOUT = 10.0
BACKLOG = 128
"""asyncio takes so many connections in one go: few against `MAX_NEWCOMERS`, so that all get to speak before any is put
out for the next."""
WATCH_INTERVAL = 2.0


class WebServer:
    """Listens as `settings` say from `start` to `stop`; port 0 is any free one, found in `address` then.

    Raises `ConfigErrors` when a file that locks it can't be used. When one changes while it runs it is read anew, and
    what was before stays in force while it has errors.
    """

    def __init__(self, services: Services, settings: Web) -> None:
        self._settings = settings
        self._locks = locks = read_locks(settings)
        self._stamps = stamps(locks.files)
        self._guard, self._headers = Guard(locks), Headers(locks.web.headers)
        self.address = split_address(settings.listen_address)
        self._runner = web.AppRunner(
            build_application(services, self._guard, self._headers),
            access_log=None,
            shutdown_timeout=SHUTDOWN_TIMEOUT,
            keepalive_timeout=KEEPALIVE_TIMEOUT,
        )
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raise `OSError` when the address is taken or not ours."""
        wanted, port = self.address
        await self._runner.setup()
        self._sockets = await asyncio.to_thread(listening_sockets, wanted, port)
        await self._serve(self._locks.tls)
        host, port = self._sockets[0].getsockname()[:2]
        self.address = (wanted or host, port)
        scheme = "https" if self._locks.tls else "http"
        logger.info("serving on {}://{}:{}/metrics", scheme, f"[{host}]" if ":" in host else host, port)
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Close the sockets and the connections."""
        if self._watching is not None:
            self._watching.cancel()
        for server in self._servers:
            server.close()
        await self._runner.cleanup()
        for listening in self._sockets:
            listening.close()

    async def _serve(self, tls: ssl.SSLContext | None) -> None:
        """Accept connections with this context from now on; those that exist keep theirs.

        Each context has a duplicate of the socket, so that at no time nobody listens.
        """
        doorman = Doorman(self._aiohttp, connection_limit())
        before, self._servers = self._servers, []
        loop = asyncio.get_running_loop()
        for listening in self._sockets:
            server = await loop.create_server(
                doorman,
                sock=listening.dup(),
                ssl=tls,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT if tls else None,
                backlog=BACKLOG,
            )
            self._servers.append(server)
        for server in before:
            server.close()

    def _aiohttp(self) -> web.Server:
        server = self._runner.server
        assert server is not None  # noqa: S101 -- set up before anything listens
        return server

    async def _watch(self) -> None:
        """Look at the files now and then: secrets and certificates are replaced while we run."""
        while self._locks.files:
            await asyncio.sleep(WATCH_INTERVAL)
            now = stamps(self._locks.files)
            if now != self._stamps:
                self._stamps = now
                await self._reload()

    async def _reload(self) -> None:
        try:
            locks = read_locks(self._settings)
            await self._serve(locks.tls)
        except (ConfigErrors, OSError) as error:
            logger.error("web: {}; what was before stays in force", error)
            return
        self._guard.change(locks)
        self._headers.configured = locks.web.headers
        self._locks, self._stamps = locks, stamps(locks.files)
        logger.info("web: {} read anew", ", ".join(map(str, locks.files)))


def listening_sockets(host: str, port: int) -> list[socket.socket]:
    """Bound sockets for every address of `host`, "" for all of the machine. Raise `OSError`."""
    if not host and socket.has_dualstack_ipv6():
        return [socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)]
    found: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(
            socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        ):
            found.append(socket.create_server(address[:2], family=family))
    except OSError:
        for bound in found:
            bound.close()
        raise
    return found
