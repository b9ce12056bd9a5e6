"""What each model has done since the exporter started: kept when it is unloaded, restarted or replaced by another."""

from collections import deque
from collections.abc import Mapping, Sequence

from loguru import logger

from exporter.logs.events import Finished, RequestEvent
from exporter.usage.from_counters import FromCounters
from exporter.usage.from_log import FromLog
from exporter.usage.histograms import Outcomes
from exporter.usage.tokens import Rate

UNNAMED = 10_000
"""Events that are kept at most of a process whose model is not known yet."""
UNNAMED_PROCESSES = 64


class ModelUsage:
    """One model's tokens, their rates, and the outcomes of its requests as far as a log reported any."""

    def __init__(self, model: str, window: float, outcomes: Outcomes, *, logged: bool) -> None:
        self.model = model
        self.prompt_rate, self.generation_rate = Rate(window), Rate(window)
        self.outcomes = outcomes
        self.tokens: FromLog | FromCounters = FromLog() if logged else FromCounters()
        self.heard: set[int | None] = set()
        """Processes (by port) whose log has reported a request."""

    def take(self, event: RequestEvent) -> None:
        """Take what the log reports of one of its requests."""
        self.heard.add(event.child)
        if isinstance(self.tokens, FromLog):
            self.tokens.take(event)
        if isinstance(event, Finished):
            self.outcomes.take(event)

    def begin(self, child: int | None, *, logged: bool) -> None:
        """A new process of the model has begun, with a log or without: totals go on, its counters began at 0."""
        if not logged:
            self.tokens = FromCounters(self.tokens.totals, met_at_birth=True)
        elif isinstance(self.tokens, FromLog):
            self.tokens.begin(child)
        else:
            self.tokens = FromLog(self.tokens.totals)

    def gone(self, child: int | None) -> None:
        """A process of the model has ended."""
        self.tokens.gone(child)
        self.heard.discard(child)

    def observe(self, now: float) -> None:
        """Take a point of both rates at monotonic time `now`."""
        totals = self.tokens.totals
        self.prompt_rate.observe(now, totals.prompt, making=bool(self.tokens.running))
        self.generation_rate.observe(now, totals.generated, making=False)  # each token counts as soon as it is there


class UsageStore:
    """Usage by model, in `models`. `logged`: the log of the servers is read; `window` is that of rates in seconds.

    `buckets` are bounds of histograms by the metric's name, where they are not the usual ones.
    """

    def __init__(self, *, logged: bool, window: float, buckets: Mapping[str, Sequence[float]]) -> None:
        self.logged = logged
        self._window = window
        self._buckets = buckets
        self._unnamed: dict[int | None, deque[RequestEvent]] = {}
        self._warned = False
        self.models: dict[str, ModelUsage] = {}

    @property
    def running(self) -> int:
        """Requests that slots of all models work on now."""
        return sum(usage.tokens.running for usage in self.models.values())

    def of(self, model: str) -> ModelUsage:
        """Return the usage of `model`, begun if need be."""
        if model not in self.models:
            self.models[model] = ModelUsage(model, self._window, Outcomes(self._buckets), logged=self.logged)
        return self.models[model]

    def take(self, model: str | None, event: RequestEvent) -> None:
        """Take what the log reports of a request; while its process has no name yet, it waits for one."""
        if model is not None:
            self.of(model).take(event)
        elif event.child in self._unnamed or len(self._unnamed) < UNNAMED_PROCESSES:
            self._unnamed.setdefault(event.child, deque(maxlen=UNNAMED)).append(event)

    def named(self, child: int | None, model: str) -> ModelUsage:
        """The process at port `child` (None without a router) runs `model`: give it what waited for the name."""
        usage = self.of(model)
        for event in self._unnamed.pop(child, ()):
            usage.take(event)
        return usage

    def gone(self, child: int | None) -> None:
        """That process has ended."""
        self._unnamed.pop(child, None)
        for usage in self.models.values():
            usage.gone(child)

    def count(self, usage: ModelUsage, child: int | None) -> None:
        """Go by the counters of the model's process: its log says nothing of its requests."""
        usage.begin(child, logged=False)
        if not self._warned:
            self._warned = True
            logger.warning(
                "llama-server's log says nothing of the requests of {} (--log-disable, or a low verbosity): tokens are "
                "counted from its own counters and /slots, and there are no outcomes and histograms of requests",
                usage.model,
            )

    def set_window(self, window: float) -> None:
        """Measure rates over another time."""
        self._window = window
        for usage in self.models.values():
            usage.prompt_rate.window = usage.generation_rate.window = window
