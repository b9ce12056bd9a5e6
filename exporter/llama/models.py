"""Which models there are and which processes run them: one for a single server, one a loaded model for a router."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from exporter.llama.client import LlamaClient, UpstreamError
from exporter.llama.instance import Instance
from exporter.llama.roster import Entry, ModelState, Roster
from exporter.llama.server import Facts, LlamaServer
from exporter.logs.events import RequestEvent
from exporter.usage.store import Ledger

LOOPBACK = "http://127.0.0.1"


class Models:
    """The running processes by model, in `instances`, and all known models, in `roster`.

    `server` is the one that `client` asks: the only one, or the router. `supervised`: it is our child, so that its
    children are on this machine. `share_within` is how long scrapers share an answer; `report` hears what fails.
    """

    def __init__(
        self,
        client: LlamaClient,
        server: LlamaServer,
        ledger: Ledger,
        roster: Roster,
        *,
        supervised: bool,
        report: Callable[[str, str | None], None],
    ) -> None:
        self.server = server
        self.ledger = ledger
        self.roster = roster
        self.instances: dict[str, Instance] = {}
        self._client = client
        self._supervised = supervised
        self._report = report
        self._ports: dict[int, str] = {}
        self._ends = 0
        """How often a server has ended: what one said before its end is not true of the next."""
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """Requests that slots of all models work on now."""
        return sum(account.usage.running for account in self.ledger.accounts.values())

    def stalled(self, heard_at: float) -> float:
        """Seconds for which requests have been running while neither a token nor a log line came; 0 otherwise."""
        return max((instance.stalled(heard_at) for instance in self.instances.values()), default=0.0)

    def model_of(self, child: int | None) -> str | None:
        """The model of the router's child at this port, or of the only server."""
        if child is not None:
            return self._ports.get(child)
        facts = self.server.facts
        return (facts.model or None) if facts else None

    def take(self, event: RequestEvent) -> None:
        """What the log says of a request."""
        self.ledger.take(self.model_of(event.child), event)

    def spawned(self, model: str, port: int) -> None:
        """The router has started a process for this model."""
        self._ports[port] = model
        self.ledger.named(port, model)

    async def single(self, started: float | None, ready: float | None, *, sleeps: bool) -> None:
        """The only server is ready: find out what it is, unless that is known. Times are monotonic."""
        ends = self._ends
        facts = await self.server.who()
        if facts.mode == "router" or ends != self._ends:
            return
        if facts.model not in self.instances:
            instance = self._instance(self._client, self.server, facts, None, sleeps=sleeps)
            self.instances[facts.model] = instance
            if started is not None:
                instance.account.begin(logged=self.ledger.logged)
                self.roster.changed(facts.model, ModelState.LOADING, started)
            self.roster.changed(facts.model, ModelState.LOADED, ready or time.monotonic())
        asleep = await self.server.asleep()
        if ends == self._ends:
            self.instances[facts.model].asleep = asleep
            state = ModelState.SLEEPING if asleep else ModelState.LOADED
            self.roster.changed(facts.model, state, time.monotonic())

    async def listed(self) -> None:
        """Bring the processes into line with the roster of a router. Raise `UpstreamError` when a new one is mute."""
        self._close_ended()
        errors = []
        for entry in list(self.roster.entries.values()):
            if not entry.runs or entry.port is None:
                continue
            self.spawned(entry.name, entry.port)
            try:
                if entry.name not in self.instances:
                    self.instances[entry.name] = await self._connect(entry, entry.port)
                    self._close_ended()  # while it was asked who it is
                if entry.name in self.instances:
                    self.instances[entry.name].asleep = entry.state is ModelState.SLEEPING
            except UpstreamError as error:
                errors.append(f"{entry.name} on port {entry.port}: {error}")
        if errors:
            raise UpstreamError("; ".join(errors))

    def changed(self, model: str, state: ModelState, exit_code: int | None) -> None:
        """An event told that a model of a router is in this state now."""
        self.roster.changed(model, state, time.monotonic(), exit_code)
        self._close_ended()

    def _close_ended(self) -> None:
        """Take the processes out that do not run any more, as far as the roster knows."""
        for model, instance in list(self.instances.items()):
            entry = self.roster.entries[model]
            if not entry.runs or entry.port not in (None, instance.child):
                self._close(model)

    def gone(self) -> None:
        """The server has ended, and its children with it."""
        self._ends += 1
        self.server.forget()
        for model in list(self.instances):
            self._close(model)
        for child in (None, *self._ports):
            self.ledger.gone(child)
        self._ports.clear()
        self.roster.gone(time.monotonic())

    async def _connect(self, entry: Entry, port: int) -> Instance:
        """Ask the child itself, which leaves no trace in the router; through the router where that can't be."""
        direct = self._client.beside(f"{LOOPBACK}:{port}")
        try:
            return await self._of(direct, entry, port)
        except UpstreamError:
            await direct.close()
            if self._supervised:
                raise
        proxied = self._client.beside(query={"model": entry.name, "autoload": "false"})
        try:
            return await self._of(proxied, entry, port)
        except UpstreamError:
            await proxied.close()
            raise

    async def _of(self, client: LlamaClient, entry: Entry, port: int) -> Instance:
        server = LlamaServer(
            client,
            mode="router",
            share_within=self.server.share_within,
            folder=self.server.folder,
            model=entry.name,
        )
        facts = await server.who()
        if not self._supervised and entry.name not in await server.names():
            raise UpstreamError("it is another server")
        instance = self._instance(client, server, facts, port, sleeps=entry.sleeps)
        if sum(entry.loads.values()) or self._supervised:  # its beginning was seen: its counters began at 0
            instance.account.begin(logged=self.ledger.logged)
        return instance

    def _instance(
        self, client: LlamaClient, server: LlamaServer, facts: Facts, child: int | None, *, sleeps: bool
    ) -> Instance:
        return Instance(client, server, facts, self.ledger, child=child, sleeps=sleeps, report=self._report)

    def _close(self, model: str) -> None:
        instance = self.instances.pop(model)
        instance.gone = True
        instance.account.gone(instance.child)
        if instance.client is not self._client:
            task = asyncio.create_task(instance.client.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def may_sleep(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Tell whether a server with these arguments falls asleep when idle."""
    return "--sleep-idle-seconds" in arguments or "LLAMA_ARG_SLEEP_IDLE_SECONDS" in environment
