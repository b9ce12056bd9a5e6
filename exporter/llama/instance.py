"""One process that answers for one model: what it says, and its requests brought up to date."""

import asyncio
import time
from collections.abc import Callable

from exporter.llama.client import LlamaClient, UpstreamError
from exporter.llama.server import Facts, LlamaServer, NativeAnswer
from exporter.llama.slots import Slot
from exporter.usage.from_counters import CountedUsage
from exporter.usage.from_log import LoggedUsage
from exporter.usage.store import Ledger

SURE_AFTER = 1.0
"""Seconds between two looks that show a request of which the log told nothing; a line takes a twentieth of it."""
LISTENING = 5.0
"""Seconds between two looks at the counters while the log has not told of any request."""


class Instance:
    """The server at `client`, of which `account` is kept; `child` is its port where a router started it.

    With a log, requests are known from it, and `/slots` is asked only while one runs; without one, the counters tell
    whether requests run. `facts` are what it said of itself. `sleeps`: it was told to fall asleep when idle. `report`
    hears what fails (name, error) and what works again (name, None).
    """

    def __init__(
        self,
        client: LlamaClient,
        server: LlamaServer,
        facts: Facts,
        ledger: Ledger,
        *,
        child: int | None,
        sleeps: bool,
        report: Callable[[str, str | None], None],
    ) -> None:
        self.client = client
        self.server = server
        self.facts = facts
        self.model = facts.model
        self.child = child
        self.sleeps = sleeps
        self.asleep = False
        self.gone = False
        """The process has ended, or is ending: what it does not answer now is no failure."""
        self.account = ledger.named(child, facts.model)
        self.slots: list[Slot] = []
        self._ledger = ledger
        self._report = report
        self._looking = asyncio.Lock()
        self._looked_at = float("-inf")
        self._page: NativeAnswer | None = None
        self._page_at = float("-inf")
        self._unheard_since: float | None = None
        self._moved_at = time.monotonic()
        self._moved_to = self.account.usage.totals

    @property
    def running(self) -> int:
        """Requests that a slot works on now."""
        return self.account.usage.running

    def used(self, slot: Slot) -> int:
        """Tokens of the context that the request of a busy slot has filled, as far as is known."""
        usage = self.account.usage
        seen = usage.held((self.child, slot.task)) if isinstance(usage, LoggedUsage) else 0
        return max(slot.held or 0, seen, slot.generated)

    @property
    def context_used(self) -> int:
        """The same over all slots."""
        return sum(self.used(slot) for slot in self.slots)

    def stalled(self, heard_at: float) -> float:
        """Seconds since the last token or log line (at `heard_at`) while requests run; 0 when none do."""
        if not self.running:
            return 0.0
        return max(0.0, time.monotonic() - max(self._moved_at, heard_at))

    async def look(self, max_age: float = 0.0) -> None:
        """Bring tokens and slots up to date, unless that was done less than `max_age` seconds ago."""
        async with self._looking:
            if time.monotonic() - self._looked_at < max_age:
                return
            try:
                await self._look(self.account.usage)
                self._report(f"watching the requests of {self.model}", None)
            except UpstreamError as error:
                if self.gone:
                    return
                self._report(f"watching the requests of {self.model}", str(error))
            self._looked_at = now = time.monotonic()
            usage = self.account.usage
            totals = usage.totals
            if not usage.running or totals != self._moved_to:
                self._moved_at, self._moved_to = now, totals
            self.account.rate.observe(now, totals, busy=bool(usage.running))

    async def _look(self, usage: LoggedUsage | CountedUsage) -> None:
        if isinstance(usage, CountedUsage):
            answer = await self.native()
            running = answer.page.value("llamacpp:requests_processing")
            self.slots = await self.server.busy_slots() if running else []
            usage.looked(answer.counters, self.slots, asked_at=answer.asked_at, now=time.monotonic())
        elif usage.runs_in(self.child):
            self.slots = await self.server.busy_slots()
            usage.seen(self.child, self.slots)
        else:
            self.slots = []
            if self.child not in self.account.heard and time.monotonic() - self._page_at >= LISTENING:
                await self.native()

    async def native(self) -> NativeAnswer:
        """Its own page. Raise `UpstreamError` when it gives none.

        Builds before late 2026 take a look at the page for use and stay awake, or wake up. Nothing on it changes while
        nothing runs, so a server that may sleep is not asked then: the last page stands for it.
        """
        page = self._page
        if page is not None and not page.harmless and (self.asleep or (self.sleeps and self._unchanged())):
            return page
        if page is None and self.asleep:
            raise UpstreamError("asleep since before it was first asked")
        self._page = page = await self.server.native()
        self._page_at = time.monotonic()
        self._listen(page)
        return page

    def _unchanged(self) -> bool:
        """Tell whether no request has run since the page was read."""
        heard = self.child in self.account.heard
        return heard and not self.running and self._moved_to == self.account.usage.totals and not self.slots

    def _listen(self, answer: NativeAnswer) -> None:
        """Find out that the log says nothing of requests: the page shows some, and for longer than a line takes."""
        if isinstance(self.account.usage, CountedUsage) or self.child in self.account.heard:
            return
        counters = answer.counters
        if not counters.generated and not counters.prompt and not answer.page.value("llamacpp:requests_processing"):
            return
        now = time.monotonic()
        if self._unheard_since is None:
            self._unheard_since = now
        elif now - self._unheard_since >= SURE_AFTER:
            self._ledger.count(self.account)
