"""Every route of the HTTP server, and what all of them have in common."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from exporter.config import ConfigSource
from exporter.logs.tail import Tail
from exporter.metrics.history import History
from exporter.reload import Reloader
from exporter.tasks import Border
from exporter.web.api.config import ConfigHandler, ReloadHandler
from exporter.web.api.control import ControlHandler, ModelControl, ModelsHandler, ServerControl
from exporter.web.api.logs import HistoryHandler, LogsHandler
from exporter.web.api.status import StatusHandler
from exporter.web.api.stream import EventsHandler
from exporter.web.auth.access import AccessControl
from exporter.web.auth.login import LoginHandler
from exporter.web.metrics import MetricsHandler
from exporter.web.page import PageHandler
from exporter.web.responses import MAX_BODY, problems

SECURITY = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
API = "/api/"


class Headers:
    """`configured` come last: those of the file web.config_file count more than ours."""

    def __init__(self, configured: Mapping[str, str]) -> None:
        self.configured = configured

    async def prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add them to an answer that is about to go out."""
        response.headers.update(SECURITY)
        if request.path.startswith(API):
            response.headers.setdefault("Cache-Control", "no-store")
        response.headers.update(self.configured)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the HTTP server leads to: the parts of a running exporter.

    `server` is None when it is not ours to start and stop; `models` gives None while llama-server is no router.
    """

    metrics: MetricsHandler
    status: StatusHandler
    reloader: Reloader
    source: ConfigSource
    server: ServerControl | None
    models: Callable[[], ModelControl | None]
    tail: Tail
    history: History


def build_application(services: Services, access: AccessControl, headers: Headers, border: Border) -> web.Application:
    """The application with all routes, each behind `access`."""
    status = services.status
    control = ControlHandler(services.server, lambda: services.reloader.current, status.current)
    models = ModelsHandler(services.models, status.known_models)
    login = LoginHandler(access)
    logs, events = LogsHandler(services.tail), EventsHandler(status.current, services.tail, services.history, border)
    config = ConfigHandler(services.source, services.reloader)
    history, page = HistoryHandler(services.history), PageHandler()
    application = web.Application(middlewares=[problems, access.middleware], client_max_size=MAX_BODY)
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
