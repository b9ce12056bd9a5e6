"""The only part that requests anything from llama-server: health, models, running requests, pages for scrapes."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from exporter.llama.api import Health, ModelState, UpstreamError
from exporter.llama.client import LlamaClient
from exporter.llama.facts import Target
from exporter.llama.model_process import Common
from exporter.llama.models import Listed, ModelList
from exporter.llama.processes import Processes
from exporter.llama.router_events import RouterEvents
from exporter.logs.server_events import Ended, Spawned

INTERVAL = 0.5
"""Seconds between two looks at running requests: running generations are to show within a second."""
LIST_INTERVAL = 1.0
"""Seconds between two looks at a router's list of models."""
LIST_INTERVAL_WITH_EVENTS = 5.0
"""The same where events report changes."""
LIST_INTERVAL_LOADING = 0.1
"""The same while a model is being loaded and nothing reports when it is done."""
SINGLE_INTERVAL = 1.0
"""Seconds between two looks at whether a single server sleeps."""


class Poller:
    """Follows one server at a time, from `begin` to `ended`, while it answers `/health`.

    `client` is used for all but `/health`, which has a client of its own with the health check's timeout. `ready_at`
    gives the monotonic time since when a supervised server is ready.
    """

    def __init__(
        self,
        client: LlamaClient,
        health_client: LlamaClient,
        models: ModelList,
        common: Common,
        *,
        ready_at: Callable[[], float | None],
    ) -> None:
        self.processes = Processes(client, models, common)
        self._client = client
        self._health_client = health_client
        self._common = common
        self._ready_at = ready_at
        self._answers = False
        self._hint = asyncio.Event()
        self._looked_at = float("-inf")
        self._events = RouterEvents(client, self.processes, common, changed=self.hint)

    def begin(self, target: Target) -> None:
        """Follow this server from now on."""
        self._health_client.base_url = target.url
        self._answers = False
        self.processes.begin(target)
        self._events.end()

    def ended(self) -> None:
        """The process of the server has ended."""
        self._answers = False
        self.processes.ended()
        self._events.end()

    async def health(self) -> Health:
        """Request `/health`, and at a good answer what the server is, so that a ready server is a known one."""
        target = self.processes.target
        health = await self._health_client.health()
        if target is not self.processes.target:
            return Health.NO_ANSWER  # it was another server that answered
        self._answers = health is Health.OK
        if self._answers:
            error = None
            try:
                await self.processes.identify()
            except UpstreamError as failure:
                error = str(failure)
            self._common.report("asking llama-server for its model", error)
        elif target is not None and not target.supervised:
            self.processes.silent()
        return health

    def hint(self) -> None:
        """Look at the models now: something has changed."""
        self._looked_at = float("-inf")
        self._hint.set()

    def router_said(self, event: Spawned | Ended) -> None:
        """Take what a router's log reports of its children. Of a server that is none, it is text of a user."""
        facts = self.processes.facts
        if facts is not None and not facts.is_router:
            return
        if isinstance(event, Spawned):
            self.processes.spawned(event.model, event.port)
        self.hint()

    async def load(self, model: str) -> None:
        """Make a router load a model. Raise `UpstreamError` with its words when it refuses."""
        await self._command("/models/load", model)

    async def unload(self, model: str) -> None:
        """Make a router unload a model. Raise `UpstreamError` with its words when it refuses."""
        await self._command("/models/unload", model)

    async def follow(self) -> None:
        """Keep models and processes in step with the server until cancelled."""
        try:
            while True:
                self._hint.clear()
                if self._answers:
                    await self.step()
                else:
                    self._events.end()
                with suppress(TimeoutError):
                    # Not wait_for: in Python 3.11 it loses a cancellation that comes with the hint.
                    async with asyncio.timeout(min(INTERVAL, self._list_interval())):
                        await self._hint.wait()
        finally:
            self._events.end()

    async def watch(self) -> None:
        """Look at the running requests until cancelled; a server that answers late delays no other's look."""
        while True:
            if self._answers:
                for process in self.processes.by_model.values():
                    process.look()
            await asyncio.sleep(INTERVAL)

    async def step(self) -> None:
        """Bring models and processes up to date once."""
        try:
            facts = await self.processes.identify()
            await (self._list() if facts.is_router else self._single())
            self._common.report("following the models of llama-server", None)
        except UpstreamError as error:
            self._common.report("following the models of llama-server", str(error))

    async def _single(self) -> None:
        now = time.monotonic()
        known = self.processes.by_model.values()
        if known and now - self._looked_at < SINGLE_INTERVAL and not any(process.replaced for process in known):
            return
        self._looked_at = now
        await self.processes.single(self._ready_at())

    async def _list(self) -> None:
        """Request the list when it is due. One that an event overtook is out of date: the next look asks again."""
        self._events.follow()
        now = time.monotonic()
        if now - self._looked_at < self._list_interval():
            return
        changes = self._events.changes
        models = Listed.of(await self._client.models("/models"))
        if changes != self._events.changes:
            return
        self._looked_at = now
        self.processes.models.listed(self._events.believable(models), time.monotonic())
        await self.processes.listed()

    def _list_interval(self) -> float:
        if self._events.work:
            return LIST_INTERVAL if self._events.in_doubt else LIST_INTERVAL_WITH_EVENTS
        entries = self.processes.models.entries.values()
        loading = any(entry.state is ModelState.LOADING for entry in entries)
        return LIST_INTERVAL_LOADING if loading else LIST_INTERVAL

    async def _command(self, path: str, model: str) -> None:
        await self._client.post(path, {"model": model})
        self.hint()
