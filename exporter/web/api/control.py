"""Commands: `POST /api/v1/server/start`, `stop`, `restart`, and `/api/v1/models/load`, `unload`."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Protocol

import msgspec
from aiohttp import web
from loguru import logger

from exporter.config import Config
from exporter.llama.api import UpstreamError
from exporter.supervisor.command import CHECK_TIMEOUT, check_start
from exporter.supervisor.process import CannotStartError
from exporter.supervisor.states import RUNNING, RestartReason, Snapshot
from exporter.web.responses import json_response, read_json


class ServerControl(Protocol):
    """The supervisor, as far as commands go; it obeys soon, not at once."""

    @property
    def snapshot(self) -> Snapshot:
        """What is known now."""
        ...

    @property
    def closing(self) -> bool:
        """Whether the exporter is stopping: then no command counts any more."""
        ...

    def start(self) -> None:
        """Command that the server runs."""
        ...

    def stop(self) -> None:
        """Command that the server is stopped."""
        ...

    def restart(self, reason: RestartReason, run: int) -> None:
        """Command a new process in place of the one of this run."""
        ...


class ControlHandler:
    """Commands `server`, which is None when something else runs llama-server. `current` is what the status answers."""

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
        """Start it. 409 when it runs, or when a start would fail: no binary, no model, port in use by whom."""
        server = self._supervised()
        before = server.snapshot
        if before.desired and before.state in RUNNING:
            raise web.HTTPConflict(text=f"llama-server is already {before.state} (PID {before.pid})")
        await self._check(port_needed=before.state not in RUNNING)
        server.start()
        return self._accepted(request, "start")

    async def stop(self, request: web.Request) -> web.Response:
        """Stop it. 409 when it is stopped, or is about to be."""
        server = self._supervised()
        state = server.snapshot.state
        if not server.snapshot.desired:
            raise web.HTTPConflict(text=f"llama-server is already {state}")
        server.stop()
        return self._accepted(request, "stop")

    async def restart(self, request: web.Request) -> web.Response:
        """Replace the process that runs now; start one when none runs. 409 when a start would fail: it runs on then."""
        server = self._supervised()
        before = server.snapshot
        await self._check(port_needed=before.state not in RUNNING)
        server.restart("requested", before.run)
        return self._accepted(request, "restart")

    def _supervised(self) -> ServerControl:
        if self._server is None:
            url = self._settings().start.server.attach
            raise web.HTTPConflict(
                text=f"llama-server at {url} is not supervised (server.attach): start and stop it where it is run"
            )
        if self._server.closing:
            raise web.HTTPConflict(text="the exporter is stopping")
        return self._server

    async def _check(self, *, port_needed: bool) -> None:
        """Raise 409 when a start would fail, as far as that can be seen before."""
        try:
            async with asyncio.timeout(CHECK_TIMEOUT):
                await asyncio.to_thread(check_start, self._settings().live.server, port_needed=port_needed)
        except CannotStartError as error:
            raise web.HTTPConflict(text=str(error)) from None
        except TimeoutError:
            raise web.HTTPConflict(text="the program and the model file could not be looked at in time") from None

    def _accepted(self, request: web.Request, what: str) -> web.Response:
        logger.info("{} of llama-server requested by {}", what, request.remote)
        return json_response(self._current(), HTTPStatus.ACCEPTED)


class ModelControl(Protocol):
    """A router, as far as commands go. `UpstreamError` is its refusal, with its words."""

    async def load(self, model: str) -> None:
        """Load a known model; returns when the router has accepted the command."""
        ...

    async def unload(self, model: str) -> None:
        """Unload a known model; returns when the router has accepted the command."""
        ...


class Chosen(msgspec.Struct):
    """The body of `load` and `unload`."""

    model: str


class ModelsHandler:
    """Commands `router`, which is None while llama-server runs one model; `models` lists the models."""

    def __init__(self, router: Callable[[], ModelControl | None], models: Callable[[], list[dict[str, Any]]]) -> None:
        self._router = router
        self._models = models

    async def list(self, _: web.Request) -> web.Response:
        """All models and their states."""
        return json_response({"models": self._models()})

    async def load(self, request: web.Request) -> web.Response:
        """Load one: 202 when the router has taken the order."""
        return await self._order(request, "load", lambda router, name: router.load(name))

    async def unload(self, request: web.Request) -> web.Response:
        """Unload one: 202 when the router has taken the order."""
        return await self._order(request, "unload", lambda router, name: router.unload(name))

    async def _order(
        self, request: web.Request, what: str, order: Callable[[ModelControl, str], Awaitable[None]]
    ) -> web.Response:
        router, name = self._router(), (await read_json(request, Chosen)).model
        if router is None:
            raise web.HTTPConflict(text="llama-server does not run as a router: it has the one model it started with")
        if name not in {model["id"] for model in self._models()}:
            raise web.HTTPNotFound(text=f"llama-server knows no model {name!r}; GET /api/v1/models lists them")
        try:
            await order(router, name)
        except UpstreamError as error:
            raise web.HTTPBadGateway(text=f"llama-server refused: {error}") from None
        logger.info("{} of model {} requested by {}", what, name, request.remote)
        (model,) = [model for model in self._models() if model["id"] == name] or [{"id": name}]
        return json_response(model, HTTPStatus.ACCEPTED)
