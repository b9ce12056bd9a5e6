"""What the collectors of GPUs have in common. Their reads block, and so run in threads, one at a time."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Protocol, TypeVar

from exporter.metrics.collectors.collector import Partial, SharedRead
from exporter.metrics.definitions import gpu as catalog
from exporter.metrics.families import Family, Metric, Sample
from exporter.tasks import Border

T = TypeVar("T")


class FamilyBuilder:
    """Takes samples GPU by GPU, and returns them metric by metric.

    A value of None is left out, and of samples with the same labels the last one counts.
    """

    def __init__(self) -> None:
        self._by_name: dict[str, tuple[Metric, dict[tuple[str, ...], float]]] = {}

    def add(self, metric: Metric, value: float | None, *labels: str) -> None:
        """Take one sample, unless `value` is None."""
        if value is not None:
            found = self._by_name.get(metric.name)
            if found is None:
                self._by_name[metric.name] = found = (metric, {})
            found[1][labels] = value

    def families(self) -> list[Family]:
        """Return a family for each metric that has samples."""
        return [
            Family(
                metric.name,
                metric.kind,
                metric.help,
                [Sample("", _pairs(metric.labels, labels), value) for labels, value in values.items()],
            )
            for metric, values in self._by_name.values()
        ]


@lru_cache(maxsize=8192)
def _pairs(names: tuple[str, ...], values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return labels. They are kept: hundreds of them never change, and pairing them is a fifth of a scrape."""
    return tuple(zip(names, values, strict=True))


class Gpus(Protocol):
    """The GPUs of a vendor. Both calls block, and come one at a time; `processes` gives the PID of each model."""

    def look(self, processes: Mapping[str, int]) -> list[Family]:
        """Return all values now. Raise `NoData` where there are no GPUs, `Partial` when a part is missing."""
        ...

    def tick(self, processes: Mapping[str, int]) -> set[str]:
        """Take what has to be read once a second: power that is added up, shares, rates.

        Return the models whose processes, or descendants of theirs, have used a GPU since the last tick.
        """
        ...


class GpuCollector:
    """Reads the GPUs at each scrape, and once every `every` seconds from the first scrape on that found any."""

    name: str
    metrics = catalog.ALL

    def __init__(self, gpus: Gpus, processes: Callable[[], Mapping[str, int]], border: Border, *, every: float) -> None:
        self.gpus = gpus
        self._processes = processes
        self._border = border
        self._every = every
        self._turn = asyncio.Lock()
        self._shared = SharedRead[list[Family]]()
        self._ticking: asyncio.Task[None] | None = None
        self._busy_at: dict[int, float] = {}

    def busy_at(self, pids: Collection[int]) -> float | None:
        """Return the monotonic time at which one of the processes was last seen to have used a GPU.

        From memory, a second old. None for processes that were not seen to, or of which the driver reports nothing.
        """
        return max((self._busy_at[pid] for pid in pids if pid in self._busy_at), default=None)

    async def collect(self, deadline: float) -> list[Family]:
        """Read all values in a thread."""
        return await self._shared.result(self._look, deadline)

    async def _look(self) -> list[Family]:
        try:
            families = await self._in_thread(self.gpus.look, dict(self._processes()))
        except Partial:
            self._start_ticks()
            raise
        self._start_ticks()
        return families

    async def _in_thread(self, call: Callable[[Mapping[str, int]], T], processes: Mapping[str, int]) -> T:
        async with self._turn:
            return await asyncio.to_thread(call, processes)

    def _start_ticks(self) -> None:
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._border.keep_running(self.name, self._tick))

    async def _tick(self) -> None:
        while True:
            processes = dict(self._processes())
            models = await self._in_thread(self.gpus.tick, processes)
            seen = self._busy_at | {processes[model]: time.monotonic() for model in models & processes.keys()}
            self._busy_at = {pid: seen[pid] for pid in processes.values() if pid in seen}
            await asyncio.sleep(self._every)
