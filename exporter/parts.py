"""The parts of a running exporter: built from the configuration, wired, started and stopped in order."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from loguru import logger

from exporter.collectors import COLLECTORS
from exporter.collectors.sources import Sources
from exporter.config import Config, Loaded, split_address
from exporter.lifecycle import Lifecycle
from exporter.llama.client import LlamaClient
from exporter.llama.outcomes import Outcomes
from exporter.llama.probe import Probe
from exporter.llama.sampler import Sampler
from exporter.llama.server import LlamaServer
from exporter.llama.tokens import Rate
from exporter.llama.usage import CountedUsage, LoggedUsage
from exporter.logs.failures import FailureLog
from exporter.logs.own import to_stream
from exporter.logs.requests import Finished, RequestEvent
from exporter.logs.stream import LogStream
from exporter.reload import Reloader, watch
from exporter.scrape import Scraper
from exporter.supervisor.attached import AttachedServer
from exporter.supervisor.launch import Launcher, base_url
from exporter.supervisor.notify import Notifier, stay_alive
from exporter.supervisor.reaper import reap_orphans
from exporter.supervisor.settings import backoff_of, policy_of
from exporter.supervisor.states import State
from exporter.supervisor.supervisor import Supervisor
from exporter.web.metrics import MetricsHandler
from exporter.web.reload import ReloadHandler
from exporter.web.server import WebServer
from exporter.web.status import StatusHandler


class Parts:
    """The parts of a running exporter, wired."""

    def __init__(
        self,
        log: LogStream,
        config: Config,
        load: Callable[[], Loaded],
        client: LlamaClient,
        health_client: LlamaClient,
        api_key: str | None,
        watched: Path | None,
    ) -> None:
        server = config.server
        failures = FailureLog()
        self._log = log
        self._watched = watched
        self._notifier = Notifier()
        self._config = config
        self._clients = (client, health_client)
        self._log.model_of = lambda _: (self._llama.facts.model or None) if self._llama.facts else None
        self._llama = LlamaServer(
            client, mode="attached" if server.attach else "single", share_within=config.metrics.share_within
        )
        self._usage: LoggedUsage | CountedUsage = CountedUsage()
        self._outcomes: Outcomes | None = None
        if not server.attach and "--log-disable" not in server.args:
            self._usage = logged = LoggedUsage()
            self._outcomes = Outcomes()
            self._log.on_request = lambda event: self._count(logged, event)
        self._sampler = Sampler(
            self._llama,
            self._usage,
            Rate(config.metrics.rate_window),
            ready=self._ready,
            heard_at=lambda: self._log.heard_at,
            report=failures.report,
        )
        probe, observe = Probe(health_client, self._llama, failures), Lifecycle(self._log, self._server_gone)
        self._launcher = Launcher(server, self._log, api_key)
        self._supervisor: Supervisor | AttachedServer
        if server.attach:
            self._supervisor = AttachedServer(
                probe=probe, interval=server.health.interval, url=server.attach, observe=observe
            )
        else:
            self._supervisor = Supervisor(
                spawn=self._launcher.spawn,
                probe=probe,
                policy=policy_of(server),
                backoff=backoff_of(server),
                observe=observe,
                last_lines=lambda: self._log.last_lines,
                activity=self._sampler,
            )
        self._reloader = Reloader(load, self._apply, self._log, config, succeeded_at=time.time())
        sources = Sources(
            config=config,
            snapshot=lambda: self._supervisor.snapshot,
            ready=self._ready,
            server=self._llama,
            sampler=self._sampler,
            outcomes=self._outcomes,
            log=self._log,
            reloaded=lambda: (self._reloader.successful, self._reloader.succeeded_at),
        )
        scraper = Scraper([collector for build in COLLECTORS.values() if (collector := build(sources)) is not None])
        self._metrics = MetricsHandler(scraper, config.metrics.scrape_timeout)
        status = StatusHandler(lambda: self._supervisor.snapshot, self._llama, self._sampler, lambda: client.base_url)
        reload = ReloadHandler(self._reloader.reload)
        self._web = WebServer(self._metrics, status, reload, *split_address(config.web.listen_address))

    async def run(self) -> int:
        """Start, serve, stop."""
        try:
            await self._web.start()
        except OSError as error:
            logger.error("web.listen_address: cannot listen on {}: {}", self._config.web.listen_address, error)
            return 1
        if self._config.server.autostart:
            self._supervisor.start()
        owner = asyncio.create_task(self._supervisor.run())
        background = [asyncio.create_task(self._sampler.run()), asyncio.create_task(stay_alive(self._notifier))]
        if self._watched is not None:
            background.append(asyncio.create_task(watch(self._watched, self._reloader.reload)))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._supervisor.close)
        loop.add_signal_handler(signal.SIGHUP, self._reloader.reload)
        if os.getpid() == 1:
            loop.add_signal_handler(signal.SIGCHLD, reap_orphans, lambda: self._supervisor.snapshot.pid)
        self._notifier.send("READY=1")
        try:
            await first_to_end(owner, *background)
        finally:
            self._notifier.send("STOPPING=1")
            for task in background:
                task.cancel()
            await self._web.stop()
        return 0

    def _ready(self) -> bool:
        return self._supervisor.snapshot.state is State.READY

    def _count(self, usage: LoggedUsage, event: RequestEvent) -> None:
        usage.take(event)
        if isinstance(event, Finished) and self._outcomes is not None:
            self._outcomes.take(event)

    def _server_gone(self) -> None:
        self._llama.forget()
        self._usage.server_gone()

    def _apply(self, config: Config, restart: bool) -> None:  # noqa: FBT001 -- the Reloader's two results
        """Take over what a reload may change. Nothing here can fail: it is all or nothing."""
        self._llama.share_within = config.metrics.share_within
        self._sampler.rate.window = config.metrics.rate_window
        self._metrics.timeout = config.metrics.scrape_timeout
        self._log.set_level(config.logs.level)
        to_stream(self._log, config.logs.level)
        if isinstance(self._supervisor, AttachedServer):
            return
        self._supervisor.configure(policy_of(config.server), backoff_of(config.server))
        self._launcher.settings = config.server
        for client in self._clients:
            client.base_url = base_url(config.server)
        snapshot = self._supervisor.snapshot
        if snapshot.desired and (restart or snapshot.state is State.FAILED):
            self._supervisor.restart("config")


async def first_to_end(owner: asyncio.Task[None], *background: asyncio.Task[None]) -> None:
    """Wait for the supervisor to end. A bug that ends one of the others ends the program, loudly."""
    done, _ = await asyncio.wait((owner, *background), return_when=asyncio.FIRST_COMPLETED)
    if owner not in done:
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)
    for task in done:
        task.result()
