"""What each model has done since the exporter started: kept when it is unloaded, restarted or replaced by another."""

from collections import deque
from collections.abc import Mapping, Sequence

from loguru import logger

from exporter.logs.events import Finished, RequestEvent
from exporter.usage.from_counters import CountedUsage
from exporter.usage.from_log import LoggedUsage
from exporter.usage.histograms import Outcomes
from exporter.usage.tokens import Rate, Tokens

UNNAMED = 10_000
"""Events that are kept at most of a process whose model is not known yet."""


class Account:
    """One model's tokens, their rate, and the outcomes of its requests as far as a log told of any."""

    def __init__(self, model: str, rate: Rate, outcomes: Outcomes, *, logged: bool) -> None:
        self.model = model
        self.rate = rate
        self.outcomes = outcomes
        self.usage: LoggedUsage | CountedUsage = LoggedUsage() if logged else CountedUsage()
        self.heard: set[int | None] = set()
        """Processes (by port) whose log has told of a request."""

    def take(self, event: RequestEvent) -> None:
        """What the log says of one of its requests."""
        self.heard.add(event.child)
        if isinstance(self.usage, LoggedUsage):
            self.usage.take(event)
        if isinstance(event, Finished):
            self.outcomes.take(event)

    def begin(self, *, logged: bool) -> None:
        """A new process of the model has begun, with a log or without: totals go on, its counters began at 0."""
        if not logged:
            self.usage = CountedUsage(self.usage.totals, Tokens())
        elif isinstance(self.usage, CountedUsage):
            self.usage = LoggedUsage(self.usage.totals)

    def gone(self, child: int | None) -> None:
        """A process of the model has ended."""
        self.usage.gone(child)
        self.heard.discard(child)


class Ledger:
    """The accounts by model. `logged`: the log of the servers is read; `window` is that of the rates in seconds.

    `buckets` are bounds of histograms by the metric's name, where they are not the usual ones.
    """

    def __init__(self, *, logged: bool, window: float, buckets: Mapping[str, Sequence[float]]) -> None:
        self.logged = logged
        self._window = window
        self._buckets = buckets
        self._unnamed: dict[int | None, deque[RequestEvent]] = {}
        self._silent_said = False
        self.accounts: dict[str, Account] = {}

    def account(self, model: str) -> Account:
        """The account of `model`, opened if need be."""
        if model not in self.accounts:
            self.accounts[model] = Account(model, Rate(self._window), Outcomes(self._buckets), logged=self.logged)
        return self.accounts[model]

    def take(self, model: str | None, event: RequestEvent) -> None:
        """What the log says of a request; while its process has no name yet, it waits for one."""
        if model is None:
            self._unnamed.setdefault(event.child, deque(maxlen=UNNAMED)).append(event)
        else:
            self.account(model).take(event)

    def named(self, child: int | None, model: str) -> Account:
        """The process at port `child` (None without a router) runs `model`."""
        account = self.account(model)
        for event in self._unnamed.pop(child, ()):
            account.take(event)
        return account

    def gone(self, child: int | None) -> None:
        """That process has ended."""
        self._unnamed.pop(child, None)
        for account in self.accounts.values():
            account.gone(child)

    def count(self, account: Account) -> None:
        """The log of the model's process says nothing of its requests: go by its counters."""
        account.begin(logged=False)
        if not self._silent_said:
            self._silent_said = True
            logger.warning(
                "llama-server's log tells nothing of the requests of {} (--log-disable, or a low verbosity): tokens "
                "are counted from its own counters and /slots, and there are no outcomes and histograms of requests",
                account.model,
            )

    def set_window(self, window: float) -> None:
        """Measure rates over another time."""
        self._window = window
        for account in self.accounts.values():
            account.rate.window = window
