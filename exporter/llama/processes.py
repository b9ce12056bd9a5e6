"""Which processes answer for models: one for a single server, one a loaded model for a router."""

import asyncio
import time

from exporter.llama.api import ModelState, UpstreamError
from exporter.llama.client import LlamaClient
from exporter.llama.facts import Facts, Target, find_child, identify
from exporter.llama.identity import AnsweringProcess
from exporter.llama.model_process import Common, ModelProcess
from exporter.llama.models import KnownModel, ModelList


class Processes:
    """The running processes by model, in `by_model`, and what the server says of itself, in `facts`.

    `client` requests from the only server, or the router. `models` is the list of all known models.
    """

    def __init__(self, client: LlamaClient, models: ModelList, common: Common) -> None:
        self.models = models
        self.facts: Facts | None = None
        self.target: Target | None = None
        self.by_model: dict[str, ModelProcess] = {}
        self._client = client
        self._common = common
        self._store = common.store
        self._silent: dict[str, ModelProcess] = {}
        self._answering: dict[int | None, AnsweringProcess] = {}
        self._ports: dict[int, str] = {}
        self._over: set[int] = set()
        """Ports whose process has ended; late lines of it may still come."""
        self._run = 0
        """Counts the servers that were followed: what one said before its end is not true of the next."""
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def refusal(self) -> str | None:
        """Why no number of the attached address means anything, None when they do."""
        if any(answering.several for answering in self._answering.values()):
            return "several processes answer at this address in turn (a load balancer?): attach to each by its own"
        return None

    def model_of(self, child: int | None) -> str | None:
        """Return the model of the router's child at this port, or of the only server."""
        if child is not None:
            return self._ports.get(child)
        return (self.facts.model or None) if self.facts else None

    def spawned(self, model: str, port: int) -> None:
        """The router has started a process for `model` that will listen on `port`."""
        if self._ports.get(port) == model and port not in self._over:
            return  # the list was faster than the log, or the other way round
        self._over.discard(port)
        self._ports[port] = model
        if self._store.logged:
            self._store.of(model).begin(port, logged=True)
        self._store.named(port, model)

    def begin(self, target: Target) -> None:
        """Follow this server from now on."""
        self.ended()
        self.target = target
        self._client.base_url = target.url

    def ended(self) -> None:
        """The server has ended, and its children with it."""
        self._run += 1
        self.facts = None
        self.silent()
        for process in self._silent.values():
            self._close(process)
        self._silent.clear()
        for child in (None, *self._ports):
            self._store.gone(child)
        self._ports.clear()
        self._over.clear()
        self._answering.clear()

    def silent(self) -> None:
        """The server does not answer now; it may be the same process when it does again."""
        self.facts = None
        self._silent |= self.by_model
        self.by_model.clear()
        self.models.gone(time.monotonic())

    async def identify(self) -> Facts:
        """Return what the server says of itself; it is asked once. Raise `UpstreamError`."""
        if self.facts is None:
            run, target = self._run, self._followed()
            facts = await identify(self._client, target)
            if run != self._run:
                raise UpstreamError("it ended while it was asked who it is")
            self.facts = facts
        return self.facts

    async def single(self, ready: float | None) -> None:
        """The only server answers, since the monotonic time `ready`: bring its process up to date."""
        run, facts = self._run, await self.identify()
        target, process = self._followed(), self.by_model.get(facts.model)
        if process is not None and process.replaced:
            self._close(self.by_model.pop(facts.model))
            self.facts, process = None, None
            self.models.gone(time.monotonic())
            facts = await self.identify()
            self._store.of(facts.model).begin(None, logged=self._store.logged)
        if process is None:
            process = self._connected(facts)
            if target.started is not None:
                self.models.changed(facts.model, ModelState.LOADING, target.started)
            self.models.changed(facts.model, ModelState.LOADED, ready or time.monotonic())
        asleep = target.sleeps and (await self._client.props()).is_sleeping
        if run == self._run and facts.model in self.by_model:
            process.asleep = asleep
            state = ModelState.SLEEPING if asleep else ModelState.LOADED
            self.models.changed(facts.model, state, time.monotonic())

    def _connected(self, facts: Facts) -> ModelProcess:
        """Begin to follow the only process, or go on with one that was silent."""
        process = self._silent.pop(facts.model, None)
        for other in self._silent.values():
            self._close(other)
        self._silent.clear()
        if process is None or process.facts != facts:
            if self._followed().supervised:
                self._store.of(facts.model).begin(None, logged=self._store.logged)
            process = self._process(self._client, facts, None, sleeps=self._followed().sleeps)
        self.by_model[facts.model] = process
        return process

    async def listed(self) -> None:
        """Bring the processes into line with a router's list. Raise `UpstreamError` when a new one is mute."""
        self._close_ended()
        errors = []
        for model in list(self.models.entries.values()):
            if not model.runs or model.port is None:
                continue
            self.spawned(model.name, model.port)
            try:
                await self._follow(model, model.port)
            except UpstreamError as error:
                errors.append(f"{model.name} on port {model.port}: {error}")
        if errors:
            raise UpstreamError("; ".join(errors))

    def changed(self, name: str, state: ModelState, exit_code: int | None) -> None:
        """A router's event: this model is in this state now."""
        self.models.changed(name, state, time.monotonic(), exit_code)
        self._close_ended()

    async def _follow(self, model: KnownModel, port: int) -> None:
        """Connect to the process of a running model, unless that is done; know whether it sleeps."""
        process = self.by_model.get(model.name)
        if process is not None and process.replaced:
            self._close(self.by_model.pop(model.name))
            self._store.of(model.name).begin(port, logged=self._store.logged)
            process = None
        if process is None:
            silent = self._silent.pop(model.name, None)
            if silent is not None and silent.child != port:
                self._close(silent)
                silent = None
            run = self._run
            process = silent or await self._connect(model, port)
            if run != self._run:
                self._close(process)
                return
            self.by_model[model.name] = process
            self._close_ended()  # while it was asked who it is
        process.asleep = model.state is ModelState.SLEEPING

    async def _connect(self, model: KnownModel, port: int) -> ModelProcess:
        client, facts = await find_child(self._client, model.name, port, self._followed())
        if not self._store.logged and any(model.loads.values()):  # its beginning was seen: its counters began at 0
            self._store.of(model.name).begin(port, logged=False)
        return self._process(client, facts, port, sleeps=model.sleeps)

    def _process(self, client: LlamaClient, facts: Facts, child: int | None, *, sleeps: bool) -> ModelProcess:
        answering = None if self._followed().supervised else self._answering.setdefault(child, AnsweringProcess())
        return ModelProcess(client, facts, self._common, child=child, sleeps=sleeps, answering=answering)

    def _close_ended(self) -> None:
        """Take out the processes that do not run any more, as far as the list of models knows."""
        for name, process in list(self.by_model.items()):
            model = self.models.entries.get(name)
            if model is None or not model.runs or model.port not in (None, process.child):
                del self.by_model[name]
                self._close(process)

    def _close(self, process: ModelProcess) -> None:
        process.gone = True
        process.usage.gone(process.child)
        if process.child is not None:
            self._over.add(process.child)
        if process.client is not self._client:
            task = asyncio.create_task(process.client.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _followed(self) -> Target:
        if self.target is None:
            raise UpstreamError("no llama-server is followed")
        return self.target
