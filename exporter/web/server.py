"""The HTTP server: routes and the socket."""

from aiohttp import web
from loguru import logger

from exporter.web.metrics import MetricsHandler
from exporter.web.reload import ReloadHandler
from exporter.web.status import StatusHandler

SHUTDOWN_TIMEOUT = 1.0


class WebServer:
    """Listens on `host:port` from `start` to `stop`; `port` 0 is any free one, found in `address` then."""

    def __init__(
        self, metrics: MetricsHandler, status: StatusHandler, reload: ReloadHandler, host: str, port: int
    ) -> None:
        application = web.Application()
        application.add_routes(
            [
                web.get("/", status.page),
                web.get("/metrics", metrics.get),
                web.get("/-/healthy", status.healthy),
                web.get("/-/ready", status.ready),
                web.post("/-/reload", reload.post),
                web.get("/api/v1/status", status.status),
            ]
        )
        self._host = host
        self._port = port
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT)
        self.address = (host, port)

    async def start(self) -> None:
        """Listen. Raise `OSError` when the address is taken or not ours."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host or None, self._port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.address = (self._host or host, port)
        logger.info("serving on http://{}:{}/metrics", f"[{host}]" if ":" in host else host, port)

    async def stop(self) -> None:
        """Close the socket and the connections."""
        await self._runner.cleanup()
