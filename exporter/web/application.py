"""Every route of the HTTP server, and what all of them have in common."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from exporter.config import Source
from exporter.history import History
from exporter.logs.tail import Tail
from exporter.reload import Reloader
from exporter.web.body import MAX_BODY
from exporter.web.control import ControlHandler, ServerControl
from exporter.web.events import EventsHandler
from exporter.web.guard import Guard
from exporter.web.headers import Headers
from exporter.web.history import HistoryHandler
from exporter.web.login import LoginHandler
from exporter.web.logs import LogsHandler
from exporter.web.metrics import MetricsHandler
from exporter.web.models import ModelControl, ModelsHandler
from exporter.web.page import PageHandler
from exporter.web.problem import problems
from exporter.web.reload import ReloadHandler
from exporter.web.settings import ConfigHandler
from exporter.web.status import StatusHandler


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the HTTP server leads to: the parts of a running exporter.

    `server` is None when it is not ours to start and stop; `models` gives None while llama-server is no router.
    """

    metrics: MetricsHandler
    status: StatusHandler
    reloader: Reloader
    source: Source
    server: ServerControl | None
    models: Callable[[], ModelControl | None]
    tail: Tail
    history: History


def build_application(services: Services, guard: Guard, headers: Headers) -> web.Application:
    """The application with all routes, each behind `guard`."""
    status = services.status
    control = ControlHandler(services.server, lambda: services.reloader.current.server, status.current)
    models = ModelsHandler(services.models, status.known_models)
    login = LoginHandler(guard)
    logs, events = LogsHandler(services.tail), EventsHandler(status.current, services.tail, services.history)
    config = ConfigHandler(services.source, services.reloader)
    history, page = HistoryHandler(services.history), PageHandler()
    application = web.Application(middlewares=[problems, guard.middleware], client_max_size=MAX_BODY)
    application.on_response_prepare.append(headers.prepare)
    application.on_shutdown.append(events.shutdown)
    application.add_routes(
        [
            web.get("/", page.page),
            web.get("/static/{name}", page.part),
            web.get("/metrics", services.metrics.get),
            web.get("/-/healthy", status.healthy),
            web.get("/-/ready", status.ready),
            web.post("/-/reload", ReloadHandler(services.reloader.reload).post),
            web.post("/api/v1/login", login.login),
            web.post("/api/v1/logout", login.logout),
            web.get("/api/v1/status", status.status),
            web.post("/api/v1/server/start", control.start),
            web.post("/api/v1/server/stop", control.stop),
            web.post("/api/v1/server/restart", control.restart),
            web.get("/api/v1/models", models.list),
            web.post("/api/v1/models/load", models.load),
            web.post("/api/v1/models/unload", models.unload),
            web.get("/api/v1/history", history.get),
            web.get("/api/v1/logs", logs.get),
            web.get("/api/v1/events", events.get, allow_head=False),
            web.get("/api/v1/config", config.get),
            web.put("/api/v1/config/server", config.put),
        ]
    )
    return application
