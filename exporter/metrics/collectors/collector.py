"""The shape that all collectors share, what they read from, and how they read what may be slow."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from exporter.config import Start
from exporter.llama.processes import Processes
from exporter.logs.output import LogOutput
from exporter.logs.server_log import ServerLog
from exporter.metrics.families import Family, Metric
from exporter.supervisor.states import Snapshot
from exporter.tasks import Border
from exporter.usage.store import UsageStore

T = TypeVar("T")


class NoData(Exception):  # noqa: N818 -- it is not an error
    """There is nothing of this kind here (no GPU, no server running): no samples, no failure, no log line."""


class Partial(Exception):  # noqa: N818 -- half of it is a result
    """A part could not be read: `families` has the rest, the message says what is missing and why."""

    def __init__(self, families: list[Family], error: str) -> None:
        super().__init__(error)
        self.families = families


class Collector(Protocol):
    """A source of families.

    `metrics` declares what `collect` may return (none for a source of foreign families).
    """

    @property
    def name(self) -> str:
        """Value of the `collector` label."""
        ...

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What `collect` may return."""
        ...

    async def collect(self, deadline: float, /) -> list[Family]:
        """Read the source now, and change nothing. The result counts until `deadline`, a time of the event loop.

        Raise `NoData` or `Partial`. Any other exception fails this collector alone: its
        `llama_exporter_collector_success` is 0, and the log has the reason.
        """
        ...


class SharedRead(Generic[T]):
    """Shares one running read among the scrapes that come meanwhile.

    A source that hangs (a driver, a dead mount) therefore holds one thread, not one more with each scrape.
    """

    def __init__(self) -> None:
        self._running: asyncio.Future[T] | None = None

    async def result(self, read: Callable[[], Awaitable[T]], deadline: float) -> T:
        """Return the result of the running read, or else of a new one. Raise `TimeoutError` at the deadline."""
        if self._running is None or self._running.done():
            self._running = asyncio.ensure_future(read())
            # Maybe no scrape waits for it any more: then nobody else takes notice of how it ended.
            self._running.add_done_callback(lambda running: running.cancelled() or running.exception())
        async with asyncio.timeout_at(deadline):
            return await asyncio.shield(self._running)

    async def in_thread(self, read: Callable[[], T], deadline: float) -> T:
        """Do the same with a read that blocks, in a thread."""
        # Without `asyncio.to_thread`, whose task and context cost a tenth of a small read.
        return await self.result(lambda: asyncio.get_running_loop().run_in_executor(None, read), deadline)


@dataclass(frozen=True, slots=True)
class Sources:
    """Handed to every builder of a collector. `pids` gives llama-server's processes by model."""

    settings: Start
    snapshot: Callable[[], Snapshot]
    processes: Processes
    usage: UsageStore
    output: LogOutput
    server_log: ServerLog
    reloaded: Callable[[], tuple[bool, float]]
    pids: Callable[[], Mapping[str, int]]
    border: Border

    def model_files(self) -> list[Path]:
        """Return the files of the models that run."""
        target = self.processes.target
        folder = target.folder if target is not None else Path()
        facts = [process.facts for process in self.processes.by_model.values()]
        return [folder / each.file for each in facts if each.file]
