"""The parts of a running exporter: built from the configuration, wired, started and stopped in order."""

import asyncio
import os
import signal
import time
from pathlib import Path

from loguru import logger

from exporter.background import first_to_end
from exporter.config import Config, Loaded, Source
from exporter.lifecycle import Lifecycle, ModelEvents, Requests
from exporter.llama.client import LlamaClient
from exporter.llama.control import RouterControl
from exporter.llama.follower import Follower
from exporter.llama.models import Models, may_sleep
from exporter.llama.probe import Probe
from exporter.llama.roster import Roster
from exporter.llama.server import LlamaServer
from exporter.logs.output import LogOutput
from exporter.logs.own import FailureLog, to_output
from exporter.logs.server_events import Ended, Spawned
from exporter.logs.server_log import ServerLog
from exporter.metrics.collectors import COLLECTORS
from exporter.metrics.collectors.sources import Children, Sources
from exporter.metrics.history import History
from exporter.metrics.scrape import Scraper
from exporter.reload import Reloader, watch
from exporter.supervisor.attached import AttachedServer
from exporter.supervisor.command import Launcher, base_url
from exporter.supervisor.reaper import reap_orphans
from exporter.supervisor.settings import backoff_of, policy_of
from exporter.supervisor.states import State
from exporter.supervisor.supervisor import Supervisor
from exporter.supervisor.systemd import Notifier, stay_alive
from exporter.tasks import Border
from exporter.usage.store import Ledger
from exporter.web.api.status import StatusHandler
from exporter.web.metrics import MetricsHandler
from exporter.web.routes import Services
from exporter.web.server import WebServer


class Parts:
    """The parts of a running exporter, wired."""

    def __init__(
        self,
        log: LogOutput,
        loaded: Loaded,
        load: Source,
        client: LlamaClient,
        health_client: LlamaClient,
        api_key: str | None,
        watched: Path | None,
    ) -> None:
        config = loaded.config
        server = config.server
        failures = FailureLog(expected=lambda: self._supervisor.snapshot.state is State.STOPPING)
        self._log = log
        self._watched = watched
        self._notifier = Notifier()
        self._config = config
        self._clients = (client, health_client)
        self._llama = LlamaServer(
            client,
            mode="attached" if server.attach else "single",
            share_within=config.metrics.share_within,
            folder=Path(server.cwd or "."),
        )
        ledger = Ledger(logged=server.attach is None, window=config.metrics.rate_window, buckets=config.metrics.buckets)
        roster = Roster(ModelEvents(log))
        self._models = Models(
            client, self._llama, ledger, roster, supervised=server.attach is None, report=failures.report
        )
        self._follower = Follower(
            self._models,
            client,
            ready=self._ready,
            times=lambda: (self._supervisor.snapshot.started, self._supervisor.snapshot.ready),
            sleeps=self._sleeps,
            report=failures.report,
        )
        self.server_log = ServerLog(
            log,
            border=Border(),
            on_request=self._models.take,
            on_router=self._router_said,
            model_of=self._models.model_of,
            prompts=config.logs.prompts,
        )
        probe = Probe(health_client, self._llama, failures)
        observe = Lifecycle(self._log, changed=self._follower.hint, gone=self._models.gone, show=self._notifier.show)
        self._launcher = Launcher(server, self.server_log, api_key)
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
                last_lines=lambda: self.server_log.last_lines,
                activity=Requests(self._models, self.server_log),
            )
        self._reloader = Reloader(load, self._apply, self._log, config, loaded.origins, succeeded_at=time.time())
        sources = Sources(
            config=config,
            snapshot=lambda: self._supervisor.snapshot,
            models=self._models,
            log=self._log,
            server_log=self.server_log,
            reloaded=lambda: (self._reloader.successful, self._reloader.succeeded_at),
            children=Children(),
        )
        collectors = [collector for build in COLLECTORS.values() if (collector := build(sources)) is not None]
        scraper = Scraper(collectors, failures)
        self._metrics = MetricsHandler(scraper, config.metrics.scrape_timeout)
        self._history = History(scraper, config.metrics.scrape_timeout)
        status = StatusHandler(lambda: self._supervisor.snapshot, self._models, lambda: client.base_url)
        services = Services(
            metrics=self._metrics,
            status=status,
            reloader=self._reloader,
            source=load,
            models=lambda: RouterControl(client, self._follower.hint) if self._is_router() else None,
            tail=log.tail,
            history=self._history,
            server=None if isinstance(self._supervisor, AttachedServer) else self._supervisor,
        )
        self._web = WebServer(services, config.web)

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
        background = [
            asyncio.create_task(work)
            for work in (self._follower.run(), self._history.run(), stay_alive(self._notifier))
        ]
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

    def _is_router(self) -> bool:
        facts = self._llama.facts
        return self._ready() and facts is not None and facts.mode == "router"

    def _sleeps(self) -> bool:
        """May the server fall asleep? Of one that something else started nobody knows, so it is asked."""
        server = self._launcher.settings
        return server.attach is not None or may_sleep(server.args, {**os.environ, **server.env})

    def _router_said(self, event: Spawned | Ended) -> None:
        if isinstance(event, Spawned):
            self._models.spawned(event.model, event.port)
        self._follower.hint()

    def _apply(self, config: Config, restart: bool) -> None:  # noqa: FBT001 -- the Reloader's two results
        """Take over what a reload may change. Nothing here can fail: it is all or nothing."""
        self._llama.share_within = config.metrics.share_within
        self._models.ledger.set_window(config.metrics.rate_window)
        client, health_client = self._clients
        self._metrics.timeout = self._history.timeout = client.patience.seconds = config.metrics.scrape_timeout
        health_client.patience.seconds = config.server.health.timeout
        self._log.set_level(config.logs.level)
        self._log.tail.resize(config.logs.tail_lines)
        self.server_log.prompts = config.logs.prompts
        to_output(self._log, config.logs.level)
        if isinstance(self._supervisor, AttachedServer):
            return
        self._supervisor.configure(policy_of(config.server), backoff_of(config.server))
        self._launcher.settings = config.server
        for client in self._clients:
            client.base_url = base_url(config.server)
        snapshot = self._supervisor.snapshot
        if snapshot.desired and (restart or snapshot.state is State.FAILED):
            self._supervisor.restart("config")
