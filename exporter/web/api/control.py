"""`POST /api/v1/server/start`, `stop`, `restart`: leave a wish with the supervisor, or say why it would be in vain."""

import asyncio
import os
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

from aiohttp import web
from loguru import logger

from exporter.config import Config, LiveServer
from exporter.supervisor.command import PortInUseError, check_model, check_port_free, find_program, listening_address
from exporter.supervisor.process import CannotStartError
from exporter.supervisor.snapshot import RestartReason, Snapshot
from exporter.supervisor.states import RUNNING
from exporter.web.http import json_response


class ServerControl(Protocol):
    """What the supervisor can be told; it obeys soon, not at once."""

    @property
    def snapshot(self) -> Snapshot:
        """What is known now."""
        ...

    def start(self) -> None:
        """Want the server running."""
        ...

    def stop(self) -> None:
        """Want the server stopped."""
        ...

    def restart(self, reason: RestartReason) -> None:
        """Want a new process in place of the running one."""
        ...


class ControlHandler:
    """Tells `server`, which is None when something else runs llama-server. `current` is what the status answers."""

    def __init__(
        self,
        server: ServerControl | None,
        settings: Callable[[], Config],
        current: Callable[[], dict[str, object]],
    ) -> None:
        self._server = server
        self._settings = settings
        self._current = current

    async def start(self, request: web.Request) -> web.Response:
        """Want it running. 409 when it is, or when a start would fail: no binary, no model, port in use by whom."""
        server = self._supervised()
        before = server.snapshot
        if before.desired and before.state in RUNNING:
            raise web.HTTPConflict(text=f"llama-server is already {before.state} (PID {before.pid})")
        await self._refuse_in_vain(port_needed=before.state not in RUNNING)
        server.start()
        return self._accepted(request, "start")

    async def stop(self, request: web.Request) -> web.Response:
        """Want it stopped. 409 when it is, or is about to be."""
        server = self._supervised()
        state = server.snapshot.state
        if not server.snapshot.desired:
            raise web.HTTPConflict(text=f"llama-server is already {state}")
        server.stop()
        return self._accepted(request, "stop")

    async def restart(self, request: web.Request) -> web.Response:
        """Want a new process; a start when none runs. 409 when a start would fail: what runs goes on then."""
        server = self._supervised()
        await self._refuse_in_vain(port_needed=server.snapshot.state not in RUNNING)
        server.restart("requested")
        return self._accepted(request, "restart")

    def _supervised(self) -> ServerControl:
        if self._server is None:
            url = self._settings().start.server.attach
            raise web.HTTPConflict(
                text=f"llama-server at {url} is not supervised (server.attach): start and stop it where it is run"
            )
        return self._server

    async def _refuse_in_vain(self, *, port_needed: bool) -> None:
        reason = await asyncio.to_thread(why_not, self._settings().live.server, port_needed=port_needed)
        if reason is not None:
            raise web.HTTPConflict(text=reason)

    def _accepted(self, request: web.Request, what: str) -> web.Response:
        logger.info("{} of llama-server asked for by {}", what, request.remote)
        return json_response(self._current(), HTTPStatus.ACCEPTED)


def why_not(server: LiveServer, *, port_needed: bool) -> str | None:
    """Why a start with these settings would fail, as far as that can be seen before; None when nothing is seen.

    Walks the system's sockets when the port is taken, which can take a while: for a thread.
    """
    env = {**os.environ, **server.env}
    try:
        find_program(server, env.get("PATH"))
        check_model(server, env)
        if port_needed:
            check_port_free(*listening_address(server))
    except (CannotStartError, PortInUseError, OSError) as error:
        return str(error)
    return None
