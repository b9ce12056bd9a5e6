"""What collectors read from: the parts of a running exporter, without those that change anything."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from exporter.collectors.children import Children
from exporter.config import Config
from exporter.llama.models import Models
from exporter.logs.stream import LogStream
from exporter.supervisor.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Sources:
    """Handed to every builder of a collector."""

    config: Config
    snapshot: Callable[[], Snapshot]
    models: Models
    log: LogStream
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
