"""One process that answers for one model: its own page, and its requests brought up to date."""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from exporter.llama.api import Slot, UpstreamError, busy
from exporter.llama.client import LlamaClient
from exporter.llama.facts import Facts
from exporter.llama.identity import AnsweringProcess, Identity
from exporter.llama.pages import AsleepError, NativeAnswer, SharedPage, known_harmless
from exporter.tasks import Border
from exporter.usage.from_counters import FromCounters
from exporter.usage.from_log import FromLog
from exporter.usage.store import ModelUsage, UsageStore
from exporter.usage.tokens import Tokens

SURE_AFTER = 1.0
"""Seconds between two looks that show a request of which the log said nothing; a line takes a twentieth of it."""
LISTENING = 5.0
"""Seconds between two looks at the counters while the log has not reported any request."""
RUNNING = "llamacpp:requests_processing"
EXACT = 2**53
"""A count above is none: a float does not hold it."""


@dataclass(frozen=True, slots=True)
class Common:
    """What all processes have in common.

    `share_within` gives the seconds for which scrapers share a page; `report` hears what fails (name, error) and what
    works again (name, None).
    """

    store: UsageStore
    share_within: Callable[[], float]
    report: Callable[[str, str | None], None]
    border: Border


class ModelProcess:
    """The server at `client`; `child` is its port where a router started it.

    With a log, requests are known from it, and `/slots` is read only while one runs; without one, the counters show
    whether any runs. `sleeps`: it may fall asleep. `answering` follows the identity of one that something else runs.
    """

    def __init__(
        self,
        client: LlamaClient,
        facts: Facts,
        common: Common,
        *,
        child: int | None,
        sleeps: bool,
        answering: AnsweringProcess | None = None,
    ) -> None:
        self.client = client
        self.facts = facts
        self.model = facts.model
        self.child = child
        self.sleeps = sleeps
        self.asleep = False
        self.gone = False
        """It has ended, or is ending: what it does not answer now is no failure."""
        self.replaced = False
        """Another process answers in its place."""
        self.usage: ModelUsage = common.store.named(child, facts.model)
        self.slots: list[Slot] = []
        self._common = common
        self._answering = answering
        self._looking: asyncio.Task[None] | None = None
        self._page = SharedPage(client, common.share_within, common.border)
        self._counters = Tokens()
        self._reconciled, self._idle = 0, (0, time.monotonic())
        """Ends of requests that the native counters confirmed; how many there were when it became idle, and when."""
        self._slept = False
        """It was asleep when it was first met, so that its counters are not known yet."""
        self._unheard_since: float | None = None
        self._moved_at = time.monotonic()
        self._moved_to = self.usage.tokens.totals

    @property
    def running(self) -> int:
        """Requests that a slot works on now."""
        return self.usage.tokens.running

    def used(self, slot: Slot) -> int:
        """Return the tokens of the context that the request of a busy slot has filled, as far as is known."""
        tokens = self.usage.tokens
        seen = tokens.held((self.child, slot.task)) if isinstance(tokens, FromLog) else 0
        return max(slot.held or 0, seen, slot.generated)

    @property
    def context_used(self) -> int:
        """The same over all slots."""
        return sum(map(self.used, self.slots))

    def stalled(self, progress_at: float) -> float:
        """Return seconds since the last token or sign of progress while requests run; 0 when none do."""
        if not self.running:
            return 0.0
        return max(0.0, time.monotonic() - max(self._moved_at, progress_at))

    def look(self) -> asyncio.Task[None]:
        """Bring tokens and slots up to date in a task, unless the last one is still at it; return that."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._common.border.once("requests of a model", self._look))
        else:
            self.usage.observe(time.monotonic())  # what the log says meanwhile has a rate, too
        return self._looking

    async def _look(self) -> None:
        try:
            await self._read_requests(self.usage.tokens)
            self._common.report(f"watching the requests of {self.model}", None)
        except AsleepError:
            self.slots = []
        except UpstreamError as error:
            if not self.gone:
                self._common.report(f"watching the requests of {self.model}", str(error))
        now, totals = time.monotonic(), self.usage.tokens.totals
        if not self.running or totals != self._moved_to:
            self._moved_at, self._moved_to = now, totals
        self.usage.observe(now)

    async def _read_requests(self, tokens: FromLog | FromCounters) -> None:
        if isinstance(tokens, FromCounters):
            answer = await self.native(math.inf)
            verdict = Identity.SAME if self._answering is None else self._answering.see(answer.process)
            if verdict is not Identity.SAME:
                self.slots, self.replaced = [], verdict is Identity.NEW
                return
            counters = self._count(answer)
            self.slots = busy(await self.client.slots()) if answer.page.value(RUNNING) else []
            if self._slept:
                self._slept = False
                tokens.wakes(counters, self.slots, batchwise=answer.harmless)
            tokens.looked(counters, self.slots, asked_at=answer.asked_at, now=time.monotonic())
        elif tokens.runs_in(self.child):
            self.slots = busy(await self.client.slots())
            tokens.seen(self.child, self.slots)
        else:
            self.slots = []
            if tokens.ends(self.child) != self._reconciled:
                await self._reconcile(tokens)
            elif self.child not in self.usage.heard and time.monotonic() - self._page.fetched_at >= LISTENING:
                await self.native(math.inf)

    async def _reconcile(self, tokens: FromLog) -> None:
        """Hold what the log counted against native counters that were read after the last request ended."""
        ends = tokens.ends(self.child)
        if self._idle[0] != ends:
            self._idle = ends, time.monotonic()
        answer = await self.native(math.inf)
        idle = not tokens.runs_in(self.child) and ends == tokens.ends(self.child)
        if idle and answer.asked_at >= self._idle[1] and answer.page.value(RUNNING) == 0:
            tokens.reconcile(self.child, answer.counters, complete=answer.harmless)
            self._reconciled = ends

    async def native(self, deadline: float) -> NativeAnswer:
        """Return its own page, at most `share_within` old. Raise `UpstreamError` when there is none by `deadline`.

        The deadline is a monotonic time. Builds before late 2026 take a request for the page for use and stay awake, or
        wake up. Nothing on it changes while nothing runs, so of a server that may sleep the last page stands for it.
        """
        last = self._page.last
        if last is not None and not last.harmless and (self.asleep or (self.sleeps and self._unchanged())):
            return last
        if last is None and self.asleep and not known_harmless(self.facts.build):
            self._slept = True
            raise AsleepError("it has been asleep since before it was first asked")
        answer = await self._page.fetch(deadline)
        self._listen(answer)
        return answer

    def _count(self, answer: NativeAnswer) -> Tokens:
        """Return the token counters; one that can't be read stays as it was. Raise `UpstreamError` without them."""
        values = answer.counters
        if values[0] is None or values[2] is None:
            raise UpstreamError("GET /metrics answered without token counters")
        parts = zip(self._counters, values, strict=True)
        self._counters = Tokens(
            *(last if value is None or not 0 <= value < EXACT else int(value) for last, value in parts)
        )
        return self._counters

    def _unchanged(self) -> bool:
        """Return whether no request has run since the page was read."""
        quiet = self.child in self.usage.heard and not self.running and not self.slots
        return quiet and self._moved_to == self.usage.tokens.totals

    def _listen(self, answer: NativeAnswer) -> None:
        """Find out that the log says nothing of requests: the page shows some, and for longer than a line takes."""
        if isinstance(self.usage.tokens, FromCounters) or self.child in self.usage.heard:
            return
        if not (answer.counters[0] or answer.counters[2] or answer.page.value(RUNNING)):
            return
        now = time.monotonic()
        if self._unheard_since is None:
            self._unheard_since = now
        elif now - self._unheard_since >= SURE_AFTER:
            self._common.store.count(self.usage, self.child)
