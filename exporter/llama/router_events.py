"""A router's live events: which model changes its state, without the delay of a list."""

import asyncio
import time
from collections.abc import Callable, Sequence

from exporter.llama.api import ModelState, RouterEvent, UpstreamError, state_of
from exporter.llama.client import LlamaClient, NoEventsError
from exporter.llama.model_process import Common
from exporter.llama.models import Listed
from exporter.llama.processes import Processes

PATH = "/models/sse"
RETRY_AFTER = 5.0
NAME = "the events of llama-server's models"


class RouterEvents:
    """Follows the events of the router at `client`, from `follow` to `end`. `changed` is called at each."""

    def __init__(
        self, client: LlamaClient, processes: Processes, common: Common, *, changed: Callable[[], None]
    ) -> None:
        self._client = client
        self._processes = processes
        self._common = common
        self._changed = changed
        self._task: asyncio.Task[None] | None = None
        self._retry_at = float("-inf")
        self._doubted: dict[str, ModelState] = {}
        self.work = False
        """The build has events, and they come."""
        self.changes = 0
        """Counts the changes that were reported: a list that was requested before one of them is out of date."""

    @property
    def in_doubt(self) -> bool:
        """Return whether a list contradicted the events."""
        return bool(self._doubted)

    def follow(self) -> None:
        """Begin to follow the events, unless that is done or was in vain a short while ago."""
        now = time.monotonic()
        if (self._task is None or self._task.done()) and now >= self._retry_at:
            self._retry_at = now + RETRY_AFTER
            self._task = asyncio.create_task(self._common.border.once(NAME, self._follow))

    def end(self) -> None:
        """The router is not followed any more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self.work = False
        self._retry_at = float("-inf")

    def believable(self, models: Sequence[Listed]) -> list[Listed]:
        """Return a list as the events left it, until a second one says otherwise: a list can overtake an event."""
        return [self._believable(model) for model in models] if self.work else list(models)

    def _believable(self, model: Listed) -> Listed:
        entry = self._processes.models.entries.get(model.name)
        if entry is None or entry.state in (None, model.state) or self._doubted.get(model.name) is model.state:
            self._doubted.pop(model.name, None)
            return model
        self._doubted[model.name] = model.state
        return model._replace(state=entry.state)

    async def _follow(self) -> None:
        try:
            async for event in self._client.events(PATH):
                self.work = True
                self._take(event)
        except NoEventsError:
            self._retry_at = float("inf")  # the build has none; the list shows the same, later
        except UpstreamError as error:
            self._common.report(NAME, str(error))
        self.work = False

    def _take(self, event: RouterEvent | None) -> None:
        """Take a change of one model's state, or word that the list is another. None: the stream has begun."""
        if event is None:
            self._common.report(NAME, None)
        else:
            if event.data is not None and event.data.status is not None:
                code = event.data.exit_code
                self._processes.changed(event.model, state_of(event.data.status, code), code)
            self.changes += 1
            self._doubted.clear()
        self._changed()
