"""`POST /-/reload`."""

from collections.abc import Callable

from aiohttp import web

from exporter.config import ConfigErrors
from exporter.web.guard import require_local


class ReloadHandler:
    """Reloads the configuration: 200, or 400 with every error and the configuration as it was."""

    def __init__(self, reload: Callable[[], ConfigErrors | None]) -> None:
        self._reload = reload

    async def post(self, request: web.Request) -> web.Response:
        """Reload now."""
        require_local(request)
        errors = self._reload()
        if errors is None:
            return web.Response(text="configuration reloaded\n")
        return web.Response(status=400, text=f"{errors}\n")
