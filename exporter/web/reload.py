"""`POST /-/reload`."""

from collections.abc import Callable

from aiohttp import web

from exporter.config import ConfigErrors


class ReloadHandler:
    """Reloads the configuration: 200, or 400 with every error and the configuration as it was."""

    def __init__(self, reload: Callable[[], ConfigErrors | None]) -> None:
        self._reload = reload

    async def post(self, _: web.Request) -> web.Response:
        """Reload now."""
        errors = self._reload()
        if errors is not None:
            raise web.HTTPBadRequest(text=str(errors))
        return web.Response(text="configuration reloaded\n")
