"""The HTTP server's sockets, plain or TLS, and the watch over the files with its credentials."""

import asyncio
import socket
import ssl

from aiohttp import web
from loguru import logger

from exporter.config import ConfigErrors, Web, split_address
from exporter.tasks import Border
from exporter.web.auth.access import AccessControl
from exporter.web.auth.credentials import read_credentials, stamps
from exporter.web.connections import ConnectionLimits, connection_limit
from exporter.web.routes import Headers, Services, build_application

SHUTDOWN_TIMEOUT = 1.0
KEEPALIVE_TIMEOUT = 75.0
"""Seconds that a connection may be idle between two requests: above the usual scrape intervals."""
HANDSHAKE_TIMEOUT = 10.0
BACKLOG = 128
"""asyncio accepts so many connections in one go: few against `MAX_PENDING`, so that each can send its request before
it is closed for the next."""
WATCH_INTERVAL = 2.0


class WebServer:
    """Listens as `settings` say from `start` to `stop`; port 0 is any free one, found in `address` then.

    Raises `ConfigErrors` when a file with credentials can't be used. One that changes is read again, and what was
    before stays in force while it has errors.
    """

    def __init__(self, services: Services, settings: Web, border: Border) -> None:
        self._border = border
        self._settings = settings
        self._credentials = credentials = read_credentials(settings)
        self._stamps = stamps(credentials.files)
        self._access, self._headers = AccessControl(credentials), Headers(credentials.web.headers)
        self.address = split_address(settings.listen_address)
        self._runner = web.AppRunner(
            build_application(services, self._access, self._headers, border),
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
        await self._serve(self._credentials.tls)
        host, port = self._sockets[0].getsockname()[:2]
        self.address = (wanted or host, port)
        scheme = "https" if self._credentials.tls else "http"
        logger.info("serving on {}://{}:{}/metrics", scheme, f"[{host}]" if ":" in host else host, port)
        self._watching = asyncio.create_task(self._border.keep_running("credentials", self._watch))

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
        limits = ConnectionLimits(self._aiohttp, connection_limit())
        before, self._servers = self._servers, []
        loop = asyncio.get_running_loop()
        for listening in self._sockets:
            server = await loop.create_server(
                limits,
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
        while self._credentials.files:
            await asyncio.sleep(WATCH_INTERVAL)
            now = stamps(self._credentials.files)
            if now != self._stamps:
                self._stamps = now
                await self._reload()

    async def _reload(self) -> None:
        try:
            credentials = read_credentials(self._settings)
            await self._serve(credentials.tls)
        except (ConfigErrors, OSError) as error:
            logger.error("web: {}; what was before stays in force", error)
            return
        self._access.change(credentials)
        self._headers.configured = credentials.web.headers
        self._credentials, self._stamps = credentials, stamps(credentials.files)
        logger.info("web: {} read again", ", ".join(map(str, credentials.files)))


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
