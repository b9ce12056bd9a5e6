"""What collectors of GPUs have in common: looks and ticks that block, and therefore run in threads, one at a time."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from exporter.metrics.collectors.collector import Partial
from exporter.metrics.definitions import gpu as catalog
from exporter.metrics.families import Family

T = TypeVar("T")


class Gpus(Protocol):
    """The GPUs of a vendor. Both calls block, and come one at a time; `processes` gives the PID of each model."""

    def look(self, processes: Mapping[str, int]) -> list[Family]:
        """All values now. Raise `NoData` where there are no GPUs, `Partial` when a part is missing."""
        ...

    def tick(self, processes: Mapping[str, int]) -> None:
        """Take what has to be looked at once a second: power that is to be added up, shares, rates."""
        ...


class GpuCollector:
    """Looks at each scrape, and ticks from the first scrape on that found GPUs.

    Scrapes that come together share one look, and a driver that hangs holds one thread, not one more with each scrape.
    """

    name: str
    metrics = catalog.ALL

    def __init__(self, gpus: Gpus, processes: Callable[[], Mapping[str, int]], *, every: float) -> None:
        self.gpus = gpus
        self._processes = processes
        self._every = every
        self._turn = asyncio.Lock()
        self._looking: asyncio.Task[list[Family]] | None = None
        self._ticking: asyncio.Task[None] | None = None

    async def collect(self) -> list[Family]:
        """Look in a thread; a scrape that comes meanwhile shares the result."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
            # The scrape may have gone at its deadline: then nobody else asks how the look ended.
            self._looking.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._looking)

    async def _look(self) -> list[Family]:
        try:
            families = await self._in_thread(self.gpus.look)
        except Partial:
            self._tick_from_now_on()
            raise
        self._tick_from_now_on()
        return families

    async def _in_thread(self, call: Callable[[Mapping[str, int]], T]) -> T:
        async with self._turn:
            return await asyncio.to_thread(call, dict(self._processes()))

    def _tick_from_now_on(self) -> None:
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._tick())
        elif self._ticking.done():
            self._ticking.result()  # it ends only by a bug, which is to be seen

    async def _tick(self) -> None:
        while True:
            await self._in_thread(self.gpus.tick)
            await asyncio.sleep(self._every)
