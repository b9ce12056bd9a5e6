"""What collectors read from: the parts of a running exporter, without those that change anything."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from exporter.config import Config
from exporter.llama.outcomes import Outcomes
from exporter.llama.sampler import Sampler
from exporter.llama.server import LlamaServer
from exporter.logs.stream import LogStream
from exporter.supervisor.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Sources:
    """Handed to every builder of a collector."""

    config: Config
    snapshot: Callable[[], Snapshot]
    ready: Callable[[], bool]
    server: LlamaServer
    sampler: Sampler
    outcomes: Outcomes | None
    log: LogStream
    reloaded: Callable[[], tuple[bool, float]]

    def processes(self) -> dict[str, int]:
        """PID of llama-server by model; the model is "" until the server has told it."""
        pid = self.snapshot().pid
        facts = self.server.facts
        return {} if pid is None else {facts.model if facts else "": pid}

    def model_files(self) -> list[Path]:
        """Files of the models that run."""
        facts = self.server.facts
        return [Path(self.config.server.cwd or ".", facts.file)] if facts and facts.file else []
