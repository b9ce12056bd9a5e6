"""`GET /api/v1/models`, `POST /api/v1/models/load` and `unload`."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Protocol

import msgspec
from aiohttp import web
from loguru import logger

from exporter.llama.client import UpstreamError
from exporter.web.http import json_response, read_json


class ModelControl(Protocol):
    """A router, and what it can be told. `UpstreamError` is its refusal, with its words."""

    async def load(self, name: str) -> None:
        """Load a model that is known; returns when the router has taken the order."""
        ...

    async def unload(self, name: str) -> None:
        """Unload a model that is known; returns when the router has taken the order."""
        ...


class Chosen(msgspec.Struct):
    """The body of `load` and `unload`."""

    model: str


class ModelsHandler:
    """Tells `router`, which is None while llama-server runs one model; `models` tells which there are."""

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
        logger.info("{} of model {} asked for by {}", what, name, request.remote)
        (model,) = [model for model in self._models() if model["id"] == name] or [{"id": name}]
        return json_response(model, HTTPStatus.ACCEPTED)
