"""Keeps the token totals of one model live: looks at `/slots` while requests run, and at nothing while none do."""

import asyncio
import time
from collections.abc import Callable

from exporter.llama.client import UpstreamError
from exporter.llama.server import LlamaServer
from exporter.llama.tokens import Rate
from exporter.llama.usage import CountedUsage, LoggedUsage

INTERVAL = 0.5
"""Seconds between two looks while requests run: running generations are to show within a second."""


class Sampler:
    """Feeds a usage and its rate.

    With a log, requests are known from it, and `/slots` is asked only while one runs. Without one (`CountedUsage`), the
    counters tell whether requests run. `ready` says whether the server answers at all; `heard_at`
    when the last line of its log came (monotonic); `report` hears what fails (name,
    error) and what works again (name, None).
    """

    def __init__(
        self,
        server: LlamaServer,
        usage: LoggedUsage | CountedUsage,
        rate: Rate,
        *,
        ready: Callable[[], bool],
        heard_at: Callable[[], float],
        report: Callable[[str, str | None], None],
    ) -> None:
        self._server = server
        self.usage = usage
        self.rate = rate
        self._ready = ready
        self._heard_at = heard_at
        self._moved_at = time.monotonic()
        self._moved_to = usage.totals
        self._report = report
        self._looking = asyncio.Lock()
        self._looked_at = float("-inf")

    @property
    def running(self) -> int:
        """Requests that a slot works on now."""
        return self.usage.running

    def stalled(self) -> float:
        """Seconds for which requests have been running while neither a token nor a log line came; 0 otherwise."""
        if not self.usage.running:
            return 0.0
        return max(0.0, time.monotonic() - max(self._moved_at, self._heard_at()))

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            if self._ready():
                await self.look()
            await asyncio.sleep(INTERVAL)

    async def look(self, max_age: float = 0.0) -> None:
        """Bring the usage up to date, unless that was done less than `max_age` seconds ago."""
        async with self._looking:
            if time.monotonic() - self._looked_at < max_age:
                return
            try:
                if isinstance(self.usage, LoggedUsage):
                    if self.usage.running:
                        self.usage.seen(await self._server.busy_slots())
                else:
                    await self._look_at_counters(self.usage)
            except UpstreamError as error:
                self._report("live token counting", str(error))
            else:
                self._report("live token counting", None)
            self._looked_at = time.monotonic()
            if not self.usage.running or self.usage.totals != self._moved_to:
                self._moved_at, self._moved_to = self._looked_at, self.usage.totals
            self.rate.observe(self._looked_at, self.usage.totals, busy=bool(self.usage.running))

    async def _look_at_counters(self, usage: CountedUsage) -> None:
        page = await self._server.native()
        busy = await self._server.busy_slots() if page.value("llamacpp:requests_processing") else []
        usage.looked(page.counters, busy)
