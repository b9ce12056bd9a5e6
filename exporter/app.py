"""The composition root: builds the parts from the configuration, starts and stops them in order."""

import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from loguru import logger

from exporter.collectors import COLLECTORS
from exporter.collectors.sources import Sources
from exporter.config import Config, split_address
from exporter.lifecycle import Lifecycle
from exporter.llama.client import LlamaClient
from exporter.llama.probe import Probe
from exporter.llama.sampler import Sampler
from exporter.llama.server import LlamaServer
from exporter.llama.tokens import Rate
from exporter.llama.usage import CountedUsage, LoggedUsage
from exporter.logs.failures import FailureLog
from exporter.logs.own import to_stream
from exporter.logs.requests import Finished, Launched, Progress, RequestEvent
from exporter.logs.sink import Sink
from exporter.logs.stream import LogStream
from exporter.logs.tail import Tail
from exporter.scrape import Scraper
from exporter.supervisor.attached import AttachedServer
from exporter.supervisor.backoff import Backoff
from exporter.supervisor.launch import Launcher, base_url
from exporter.supervisor.snapshot import Policy
from exporter.supervisor.states import State
from exporter.supervisor.supervisor import Supervisor
from exporter.web.metrics import MetricsHandler
from exporter.web.server import WebServer
from exporter.web.status import StatusHandler

LAST_LINES = 50
SINK_CLOSE_TIMEOUT = 5.0


class App:
    """One exporter. `run` returns the exit code of the program."""

    def __init__(self, config: Config, *, stdout_fd: int | None = None) -> None:
        self._config = config
        self._loaded_at = time.time()
        fd = sys.stdout.fileno() if stdout_fd is None else stdout_fd
        self._sink = Sink(fd, config.logs.buffer)
        self.log = LogStream(self._sink, Tail(config.logs.tail_lines), config.logs.level)
        to_stream(self.log, config.logs.level)

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT: 0 when stopped as asked, 1 when it could not run."""
        server = self._config.server
        try:
            api_key = read_secret(server.api_key_file)
        except (OSError, ValueError) as error:
            logger.error("server.api_key_file: cannot be read: {}", error)
            return 1
        timeout = self._config.metrics.scrape_timeout
        async with (
            LlamaClient(base_url(server), timeout=timeout, api_key=api_key) as client,
            LlamaClient(base_url(server), timeout=server.health.timeout) as health_client,
        ):
            return await self._run(client, health_client, api_key)

    async def _run(self, client: LlamaClient, health_client: LlamaClient, api_key: str | None) -> int:
        config, server = self._config, self._config.server
        llama = LlamaServer(
            client, mode="attached" if server.attach else "single", share_within=config.metrics.share_within
        )
        usage = CountedUsage() if server.attach or "--log-disable" in server.args else LoggedUsage()
        failures = FailureLog()
        probe = Probe(health_client, llama, failures)

        def server_gone() -> None:
            llama.forget()
            usage.server_gone()

        lifecycle = Lifecycle(self.log, server_gone)
        supervisor: Supervisor | AttachedServer
        if server.attach:
            supervisor = AttachedServer(
                probe=probe, interval=server.health.interval, url=server.attach, observe=lifecycle
            )
        else:
            supervisor = Supervisor(
                spawn=Launcher(server, self.log, api_key).spawn,
                probe=probe,
                policy=policy_of(config),
                backoff=backoff_of(config),
                observe=lifecycle,
                last_lines=lambda: self.log.tail.last_messages(LAST_LINES),
            )

        def ready() -> bool:
            return supervisor.snapshot.state is State.READY

        if isinstance(usage, LoggedUsage):
            self.log.on_request = lambda event: count_request(usage, event)
        sampler = Sampler(llama, usage, Rate(config.metrics.rate_window), ready=ready, report=failures.report)
        sources = Sources(
            config=config,
            snapshot=lambda: supervisor.snapshot,
            ready=ready,
            server=llama,
            sampler=sampler,
            log=self.log,
            reloaded=lambda: (True, self._loaded_at),
        )
        scraper = Scraper([collector for build in COLLECTORS.values() if (collector := build(sources)) is not None])
        web = WebServer(
            MetricsHandler(scraper, config.metrics.scrape_timeout),
            StatusHandler(lambda: supervisor.snapshot, llama, sampler, base_url(server)),
            *split_address(config.web.listen_address),
        )
        try:
            await web.start()
        except OSError as error:
            logger.error("web.listen_address: cannot listen on {}: {}", config.web.listen_address, error)
            return 1
        if server.autostart:
            supervisor.start()
        owner = asyncio.create_task(supervisor.run())
        sampling = asyncio.create_task(sampler.run())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, supervisor.close)
        try:
            await first_to_end(owner, sampling)
        finally:
            sampling.cancel()
            await web.stop()
        return 0

    def close(self) -> None:
        """Write out what is left of the log."""
        self._sink.close(SINK_CLOSE_TIMEOUT)


async def first_to_end(owner: asyncio.Task[None], sampling: asyncio.Task[None]) -> None:
    """Wait for the supervisor to end. A bug that ends either of them ends the program, loudly."""
    done, _ = await asyncio.wait((owner, sampling), return_when=asyncio.FIRST_COMPLETED)
    if owner not in done:
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)
    for task in done:
        task.result()


def count_request(usage: LoggedUsage, event: RequestEvent) -> None:
    """Feed what the log says of a request to the token counts."""
    match event:
        case Launched():
            usage.launched(event.task)
        case Progress():
            usage.progressed(event.task, event.prompt_tokens, event.cached_tokens)
        case Finished():
            usage.finished(event.task, event.prompt_tokens, event.cached_tokens, event.generation_tokens)


def policy_of(config: Config) -> Policy:
    """The supervisor's part of the configuration."""
    server = config.server
    return Policy(
        restart=server.restart.policy,
        start_timeout=server.start_timeout,
        stop_timeout=server.stop_timeout,
        health_interval=server.health.interval,
        unresponsive_after=server.health.unresponsive_after,
        unresponsive_action=server.health.action,
    )


def backoff_of(config: Config) -> Backoff:
    """The delays of the configuration."""
    restart = config.server.restart
    return Backoff(restart.initial_backoff, restart.max_backoff, restart.give_up_after, restart.within)


def read_secret(file: str | None) -> str | None:
    """The content of a secret's file without the newline at its end. Raise `OSError`, or `ValueError` when empty."""
    if file is None:
        return None
    secret = Path(file).read_text("utf-8").strip()
    if not secret:
        raise ValueError(f"{file} is empty")
    return secret


def run(config: Config) -> int:
    """Run an exporter in this process until it is told to stop."""
    app = App(config)
    try:
        return asyncio.run(app.run())
    finally:
        app.close()


__all__: Sequence[str] = ("App", "run")
