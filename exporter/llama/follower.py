"""Keeps the models in step with the server: states, processes, and twice a second the running requests."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from exporter.llama.client import LlamaClient, NoEventsError, UpstreamError
from exporter.llama.models import Models
from exporter.llama.roster import Listed, ModelState, read_models, state_of

INTERVAL = 0.5
"""Seconds between two looks at running requests: running generations are to show within a second."""
LIST_INTERVAL = 1.0
"""Seconds between two looks at a router's list of models."""
LIST_INTERVAL_WITH_EVENTS = 5.0
"""The same where events tell of changes."""
LIST_INTERVAL_LOADING = 0.1
"""The same while a model is being loaded and nothing tells when it is done."""
ASLEEP_INTERVAL = 1.0
EVENTS_RETRY = 5.0


class Follower:
    """Follows the server at `client` while `ready`.

    `times` gives when it was started and ready (monotonic, None where it is not ours), `sleeps` whether it may fall
    asleep; `report` hears what fails.
    """

    def __init__(
        self,
        models: Models,
        client: LlamaClient,
        *,
        ready: Callable[[], bool],
        times: Callable[[], tuple[float | None, float | None]],
        sleeps: Callable[[], bool],
        report: Callable[[str, str | None], None],
    ) -> None:
        self.models = models
        self._client = client
        self._ready = ready
        self._times = times
        self._sleeps = sleeps
        self._report = report
        self._hint = asyncio.Event()
        self._listed_at = float("-inf")
        self._asked_at = float("-inf")
        self._events: asyncio.Task[None] | None = None
        self._events_work = False
        self._events_retry_at = float("-inf")
        self._told = 0
        self._doubted: dict[str, ModelState] = {}

    def hint(self) -> None:
        """Something has changed: look now."""
        self._listed_at = self._asked_at = float("-inf")
        self._hint.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        try:
            while True:
                self._hint.clear()
                if self._ready():
                    await self.step()
                else:
                    self._end_events()
                try:
                    await asyncio.wait_for(self._hint.wait(), min(INTERVAL, self._list_interval()))
                except TimeoutError:
                    continue
        finally:
            self._end_events()

    async def step(self) -> None:
        """Bring everything up to date once."""
        try:
            facts = await self.models.server.who()
            await (self._list() if facts.mode == "router" else self._single())
            self._report("following the models of llama-server", None)
        except (UpstreamError, ValueError) as error:
            self._report("following the models of llama-server", str(error))
        await asyncio.gather(*(instance.look() for instance in list(self.models.instances.values())))

    def _list_interval(self) -> float:
        if self._events_work:
            return LIST_INTERVAL if self._doubted else LIST_INTERVAL_WITH_EVENTS
        loading = any(entry.state is ModelState.LOADING for entry in self.models.roster.entries.values())
        return LIST_INTERVAL_LOADING if loading else LIST_INTERVAL

    async def _single(self) -> None:
        if self.models.instances and not (self._sleeps() and time.monotonic() - self._asked_at >= ASLEEP_INTERVAL):
            return
        self._asked_at = time.monotonic()
        started, ready = self._times()
        await self.models.single(started, ready, sleeps=self._sleeps())

    async def _list(self) -> None:
        """Ask for the list when it is due. One that an event overtook is out of date: the next look asks again."""
        now = time.monotonic()
        if self._events is None and now >= self._events_retry_at:
            self._events = asyncio.create_task(self._follow_events())
        if now - self._listed_at < self._list_interval():
            return
        told = self._told
        models = read_models(await self._client.get_json("/models"))
        if told != self._told:
            return
        self._listed_at = now
        if self._events_work:
            models = [self._believable(model) for model in models]
        self.models.roster.listed(models, time.monotonic())
        await self.models.listed()

    def _believable(self, model: Listed) -> Listed:
        """The model as the events left it, until a second list says otherwise: a list can overtake an event."""
        entry = self.models.roster.entries.get(model.name)
        if entry is None or entry.state in (None, model.state) or self._doubted.get(model.name) is model.state:
            self._doubted.pop(model.name, None)
            return model
        self._doubted[model.name] = model.state
        return model._replace(state=entry.state)

    async def _follow_events(self) -> None:
        retry = EVENTS_RETRY
        try:
            async for event in self._client.events("/models/sse"):
                self._events_work = True
                self._take(event)
        except NoEventsError:
            retry = float("inf")  # the build has none; the list tells the same, later
        except UpstreamError as error:
            self._report("the events of llama-server's models", str(error))
        self._events = None
        self._events_work = False
        self._events_retry_at = time.monotonic() + retry

    def _take(self, event: Any) -> None:
        """An event: a change of one model's state, or word that the list is another. None: the stream has begun."""
        if event is None:
            self._report("the events of llama-server's models", None)
            self.hint()
            return
        try:
            name, data = str(event["model"]), event.get("data") or {}
            if "status" in data:
                code = data.get("exit_code")
                self.models.changed(name, state_of(data["status"], code), code)
        except (KeyError, TypeError, AttributeError):
            return
        self._told += 1
        self._doubted.clear()
        self.hint()

    def _end_events(self) -> None:
        if self._events is not None:
            self._events.cancel()
            self._events = None
        self._events_work = False
        self._events_retry_at = float("-inf")
