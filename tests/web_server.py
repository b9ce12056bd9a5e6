"""The exporter's HTTP server in this process, over parts that a test makes: what a whole exporter has no hook for."""

import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from exporter.config import ConfigSource, Web
from exporter.llama.api import ModelState, UpstreamError
from exporter.llama.client import LlamaClient
from exporter.llama.model_process import Common
from exporter.llama.models import Listed, ModelList
from exporter.llama.processes import Processes
from exporter.logs.output import LogOutput
from exporter.logs.record import Record, json_lines
from exporter.logs.tail import Tail
from exporter.metrics.history import History
from exporter.metrics.scrape import Scraper
from exporter.reload import Reloader
from exporter.supervisor.states import Snapshot
from exporter.tasks import Border
from exporter.usage.store import UsageStore
from exporter.web.api.status import StatusHandler
from exporter.web.metrics import MetricsHandler
from exporter.web.routes import Services
from exporter.web.server import WebServer
from tests.support import free_port


def say(tail: Tail, **fields: Any) -> dict[str, Any]:
    """Add a record; gives what a reader sees of it."""
    defaults: dict[str, Any] = {"time": "2026-01-01T00:00:00.000000Z", "level": "info", "source": "exporter"}
    tail.add(*json_lines([Record(**{**defaults, **fields})]))
    seen: dict[str, Any] = json.loads(tail.search(limit=1)[0])
    return seen


def listeners(tail: Tail) -> int:
    return len(tail._listeners)


class MemoryRouter:
    """Models that are loaded by saying so; `broken` is one that llama-server refuses."""

    def __init__(self) -> None:
        self.states = {"a": ModelState.UNLOADED, "b/c:Q4": ModelState.LOADED, "broken": ModelState.FAILED}
        self.list = ModelList(lambda *_: None)

    def show(self) -> None:
        self.list.listed([Listed(name, state) for name, state in self.states.items()], 0)

    async def load(self, model: str) -> None:
        if model == "broken":
            raise UpstreamError("POST /models/load answered 400")
        self.states[model] = ModelState.LOADING
        self.show()

    async def unload(self, model: str) -> None:
        self.states[model] = ModelState.UNLOADED
        self.show()


class Served:
    """A running server, and the snapshot that it shows."""

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self.url = ""
        self.routes: set[tuple[str, str]] = set()
        self.stop: Callable[[], Awaitable[None]]


@asynccontextmanager
async def serving(tail: Tail | None = None, models: MemoryRouter | None = None, **web: Any) -> AsyncIterator[Served]:
    """The server with these parts, on a free port."""
    served = Served()
    port = free_port()
    source = ConfigSource(None, {}, {})
    config, origins = source()
    log = LogOutput(sys.stderr.fileno(), buffer=1 << 20, level="info", tail=10)
    async with LlamaClient("http://127.0.0.1:1", timeout=1) as client:
        store, known = UsageStore(logged=True, window=10, buckets={}), ModelList(lambda *_: None)
        processes = Processes(client, known, Common(store, lambda: 1.0, lambda *_: None, Border()))
        if models is not None:
            models.list = known
            models.show()
        status = StatusHandler(lambda: served.snapshot, processes, store, lambda: "http://127.0.0.1:1")
        services = Services(
            metrics=MetricsHandler(Scraper([]), 1),
            history=History(Scraper([]), 1, Border()),
            status=status,
            reloader=Reloader(source, lambda *_: None, log, config, origins),
            source=source,
            server=None,
            models=lambda: models,
            tail=tail or Tail(10),
        )
        server = WebServer(services, Web(listen_address=f"127.0.0.1:{port}", **web), Border())
        await server.start()
        served.url = f"http://127.0.0.1:{port}"
        served.stop = server.stop
        served.routes = {
            (route.method, route.resource.canonical) for route in server._runner.app.router.routes() if route.resource
        }
        try:
            yield served
        finally:
            await server.stop()
