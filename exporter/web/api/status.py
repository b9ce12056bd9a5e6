"""`GET /api/v1/status` and the health of the exporter."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

import exporter
from exporter.llama.models import KnownModel
from exporter.llama.processes import Processes
from exporter.supervisor.states import Snapshot, State
from exporter.usage.store import UsageStore


@dataclass(frozen=True, slots=True)
class StatusHandler:
    """Reads the snapshot and what is known of the models and their requests; `url` gives where llama-server answers."""

    snapshot: Callable[[], Snapshot]
    processes: Processes
    usage: UsageStore
    url: Callable[[], str]

    async def status(self, _: web.Request) -> web.Response:
        """State, process, last exit, model and speed as JSON."""
        return web.Response(body=msgspec.json.encode(self.current()), content_type="application/json")

    async def healthy(self, _: web.Request) -> web.Response:
        """The exporter lives."""
        return web.Response(text="llama-server exporter is healthy.\n")

    async def ready(self, _: web.Request) -> web.Response:
        """llama-server answers."""
        state = self.snapshot().state
        return web.Response(text=f"llama-server is {state}.\n", status=200 if state is State.READY else 503)

    def known_models(self) -> list[dict[str, Any]]:
        """Every model that the server knows: its state, and what a running one says of itself."""
        models: list[dict[str, Any]] = []
        for entry in sorted(self.processes.models.entries.values(), key=lambda entry: entry.name):
            if entry.state is None:
                continue
            process = self.processes.by_model.get(entry.name)
            facts = process.facts if process else None
            models.append(
                {
                    "id": entry.name,
                    "state": entry.state,
                    "reason": _reason(entry),
                    "load_seconds": None if entry.load_seconds is None else round(entry.load_seconds, 3),
                    "exit_code": entry.exit_code,
                    "slots": facts.slots if facts else None,
                    "context_tokens": facts.context if facts else None,
                    "parameters": facts.parameters if facts else None,
                    "size_bytes": facts.size if facts else None,
                }
            )
        return models

    def _activity(self) -> dict[str, dict[str, Any]]:
        """What each running model does now."""
        activity: dict[str, dict[str, Any]] = {}
        for model, process in self.processes.by_model.items():
            activity[model] = {
                "tokens_per_second": {
                    "prompt": round(process.usage.prompt_rate.per_second(), 3),
                    "generation": round(process.usage.generation_rate.per_second(), 3),
                },
                "requests_running": process.running,
                "slots_busy": len(process.slots),
                "context_used_tokens": process.context_used,
            }
        return activity

    def current(self) -> dict[str, object]:
        """What the answer holds."""
        snapshot, facts = self.snapshot(), self.processes.facts
        up = snapshot.state is State.READY
        last = snapshot.last_exit
        activity = self._activity() if up else {}
        prompt, generation = (
            sum(each["tokens_per_second"][phase] for each in activity.values()) for phase in ("prompt", "generation")
        )
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
            "models": self.known_models(),
            "activity": activity,
            "tokens_per_second": {"prompt": round(prompt, 3), "generation": round(generation, 3)} if up else None,
            "requests_running": self.usage.running if up else None,
            "versions": {"exporter": exporter.__version__},
        }


def _reason(model: KnownModel) -> str | None:
    """Return why the model is not well, None when it is or that is plain."""
    if model.stalled is None:
        return None
    return f"its requests have been running for {model.stalled:.0f} s without a token or CPU use"
