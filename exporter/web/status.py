"""`GET /api/v1/status`, the health of the exporter, and the page for those who come by hand."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

import msgspec
from aiohttp import web

import exporter
from exporter.llama.models import Models
from exporter.supervisor.snapshot import Snapshot
from exporter.supervisor.states import State

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>llama-server exporter</title>
<h1>llama-server exporter</h1>
<p>llama-server is <strong>{state}</strong>{reason}.</p>
<ul><li><a href="metrics">Metrics</a></li><li><a href="api/v1/status">Status</a></li>
<li><a href="-/healthy">Healthy</a></li><li><a href="-/ready">Ready</a></li></ul>
<p>Version {version}</p></html>
"""


@dataclass(frozen=True, slots=True)
class StatusHandler:
    """Reads the snapshot and what is known of the models; `url` is where llama-server answers."""

    snapshot: Callable[[], Snapshot]
    models: Models
    url: Callable[[], str]

    async def status(self, _: web.Request) -> web.Response:
        """State, process, last exit, model and speed as JSON."""
        return web.Response(body=msgspec.json.encode(self._status()), content_type="application/json")

    async def page(self, _: web.Request) -> web.Response:
        """Where to go from here."""
        snapshot = self.snapshot()
        text = PAGE.format(
            state=snapshot.state,
            reason=f": {escape(snapshot.reason)}" if snapshot.reason else "",
            version=exporter.__version__,
        )
        return web.Response(text=text, content_type="text/html")

    async def healthy(self, _: web.Request) -> web.Response:
        """The exporter lives."""
        return web.Response(text="llama-server exporter is healthy.\n")

    async def ready(self, _: web.Request) -> web.Response:
        """llama-server answers."""
        state = self.snapshot().state
        return web.Response(text=f"llama-server is {state}.\n", status=200 if state is State.READY else 503)

    def _status(self) -> dict[str, object]:
        snapshot, facts = self.snapshot(), self.models.server.facts
        up = snapshot.state is State.READY
        last = snapshot.last_exit
        now = time.monotonic()
        rates = [instance.account.rate.per_second(now) for instance in self.models.instances.values()]
        prompt, generation = (sum(rate[phase] for rate in rates) for phase in (0, 1))
        return {
            "state": snapshot.state,
            "desired": "running" if snapshot.desired else "stopped",
            "reason": snapshot.reason,
            "url": self.url(),
            "pid": snapshot.pid,
            "uptime_seconds": None if snapshot.started is None else round(time.monotonic() - snapshot.started, 3),
            "restarts": dict(snapshot.restarts),
            "last_exit": None
            if last is None
            else {
                "code": last.code,
                "signal": last.signal,
                "reason": snapshot.last_exit_cause,
                "last_lines": snapshot.last_exit_lines,
            },
            "build": facts.build if up and facts else None,
            "mode": facts.mode if up and facts else None,
            "models": [
                {"id": entry.name, "state": entry.state}
                for entry in self.models.roster.entries.values()
                if entry.state is not None
            ],
            "tokens_per_second": {"prompt": round(prompt, 3), "generation": round(generation, 3)} if up else None,
            "requests_running": self.models.running if up else None,
            "versions": {"exporter": exporter.__version__},
        }
