"""What collectors read from: the parts of a running exporter, without those that change anything."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from exporter.config import Config
from exporter.llama.models import Models
from exporter.logs.output import LogOutput
from exporter.logs.server_log import ServerLog
from exporter.supervisor.snapshot import Snapshot

PAUSE = 5.0
"""Seconds between two walks over the host's processes while a child is missing."""


class Children:
    """Finds each child once in its life: a walk over all processes is dear, to ask a known one is not."""

    def __init__(self) -> None:
        self._known: dict[int, psutil.Process] = {}
        self._missing: frozenset[int] = frozenset()
        self._walked_at = float("-inf")

    def by_port(self, router: int, ports: frozenset[int]) -> dict[int, int]:
        """PID by port, for those of `ports` whose process is there."""
        self._known = {port: process for port, process in self._known.items() if port in ports and process.is_running()}
        missing = ports.difference(self._known)
        now = time.monotonic()
        if missing and (missing - self._missing or now - self._walked_at >= PAUSE):
            self._walked_at = now
            self._find(router, missing)
        self._missing = missing
        return {port: process.pid for port, process in self._known.items()}

    def _find(self, router: int, missing: frozenset[int]) -> None:
        try:
            children = psutil.Process(router).children()
        except psutil.Error:
            return
        for child in children:
            try:
                arguments = child.cmdline()
            except psutil.Error:
                continue  # it has just ended
            value = arguments[arguments.index("--port") + 1] if "--port" in arguments[:-1] else ""
            if value.isdecimal() and int(value) in missing:
                self._known[int(value)] = child


@dataclass(frozen=True, slots=True)
class Sources:
    """Handed to every builder of a collector."""

    config: Config
    snapshot: Callable[[], Snapshot]
    models: Models
    log: LogOutput
    server_log: ServerLog
    reloaded: Callable[[], tuple[bool, float]]
    children: Children

    def processes(self) -> dict[str, int]:
        """PIDs of llama-server's processes by model; "" is a router, or a server that has not told its model yet."""
        pid = self.snapshot().pid
        if pid is None:
            return {}
        facts = self.models.server.facts
        processes = {facts.model if facts else "": pid}
        ports = {instance.child: model for model, instance in self.models.instances.items() if instance.child}
        if ports:
            processes |= {ports[port]: child for port, child in self.children.by_port(pid, frozenset(ports)).items()}
        return processes

    def model_files(self) -> list[Path]:
        """Files of the models that run."""
        folder = self.config.server.cwd or "."
        facts = [instance.facts for instance in self.models.instances.values()]
        return [Path(folder, each.file) for each in facts if each.file]
