"""The parts of a running exporter, built from the configuration in the order in which data flows through them."""

import time
from dataclasses import dataclass
from pathlib import Path

from exporter.announce import ModelEvents, ServerEvents
from exporter.config import ConfigSource, Live, Loaded
from exporter.llama.client import LlamaClient
from exporter.llama.facts import Target
from exporter.llama.model_process import Common
from exporter.llama.models import ModelList
from exporter.llama.poller import Poller
from exporter.logs.output import LogOutput
from exporter.logs.own import FailureLog, to_output
from exporter.logs.server_log import ServerLog
from exporter.metrics.collectors import COLLECTORS
from exporter.metrics.collectors.collector import Sources
from exporter.metrics.collectors.gpu import GpuCollector
from exporter.metrics.history import History
from exporter.metrics.scrape import Scraper
from exporter.reload import Reloader
from exporter.supervisor.attached import AttachedServer
from exporter.supervisor.command import LlamaLauncher, server_url
from exporter.supervisor.pids import ProcessTable
from exporter.supervisor.policy import Backoff, Policy
from exporter.supervisor.progress import RequestProgress
from exporter.supervisor.states import Observer, Snapshot, State
from exporter.supervisor.supervisor import Supervisor
from exporter.supervisor.systemd import Notifier
from exporter.tasks import Border
from exporter.usage.store import UsageStore
from exporter.web.api.status import StatusHandler
from exporter.web.metrics import MetricsHandler
from exporter.web.routes import Services
from exporter.web.server import WebServer


@dataclass(frozen=True, slots=True)
class Parts:
    """What `app.py` starts, serves and stops."""

    border: Border
    notifier: Notifier
    clients: tuple[LlamaClient, LlamaClient]
    poller: Poller
    server: Supervisor | AttachedServer
    reloader: Reloader
    history: History
    web: WebServer


def build(output: LogOutput, loaded: Loaded, load: ConfigSource, api_key: str | None) -> Parts:
    """Build everything; nothing runs yet. Raise `ConfigErrors` when a file that the configuration names is bad."""
    start, live = loaded.config.start, loaded.config.live
    attach, timeout = start.server.attach, live.metrics.scrape_timeout
    url = attach or server_url(live.server)
    border, notifier = Border(), Notifier()

    def snapshot() -> Snapshot:
        return server.snapshot

    failures = FailureLog(expected=lambda: snapshot().state is State.STOPPING)
    usage = UsageStore(logged=attach is None, window=live.metrics.rate_window, buckets=start.metrics.buckets)
    model_events = ModelEvents(output)

    def asked(path: str) -> None:
        server_log.asked(path)

    client = LlamaClient(url, timeout=timeout, api_key=api_key, on_request=asked)
    health_client = LlamaClient(url, timeout=live.server.health.timeout, on_request=asked)
    common = Common(usage, lambda: reloader.current.live.metrics.share_within, failures.report, border)
    poller = Poller(client, health_client, ModelList(model_events), common, ready_at=lambda: snapshot().ready)
    processes = poller.processes
    server_log = ServerLog(
        output,
        border=border,
        on_request=lambda event: usage.take(processes.model_of(event.child), event),
        on_router=poller.router_said,
        model_of=processes.model_of,
        prompts=live.logs.prompts,
    )
    table = ProcessTable(lambda: snapshot().pid, processes)
    announce = ServerEvents(output, changed=poller.hint, ended=poller.ended, show=notifier.show)
    observe: Observer = border.callback("announcements", announce)
    server: Supervisor | AttachedServer
    if attach:
        poller.begin(Target(attach, Path(), sleeps=True, started=None))  # of one that is not ours, anything may be
        server = AttachedServer(
            probe=poller.health,
            interval=live.server.health.interval,
            url=attach,
            observe=observe,
            refusal=lambda: processes.refusal,
        )
    else:
        server = Supervisor(
            launcher=LlamaLauncher(live.server, server_log, api_key, poller.begin),
            probe=poller.health,
            progress=RequestProgress(
                processes,
                usage,
                heard_at=lambda: server_log.heard_at,
                pids=table.by_model,
                gpu_busy_at=lambda pids: max(
                    (at for gpu in gpus if (at := gpu.busy_at(pids)) is not None), default=float("-inf")
                ),
                stalled_model=model_events.stalled,
            ),
            policy=Policy.of(live.server),
            backoff=Backoff.of(live.server),
            observe=observe,
            last_lines=lambda: server_log.last_lines,
        )

    def apply(live: Live, replace: bool) -> None:  # noqa: FBT001 -- the Reloader's two results
        """Take over what a reload may change. Nothing here can fail: it is all or nothing."""
        usage.set_window(live.metrics.rate_window)
        metrics.timeout = history.timeout = client.patience.seconds = live.metrics.scrape_timeout
        health_client.patience.seconds = live.server.health.timeout
        output.set_level(live.logs.level)
        output.tail.resize(live.logs.tail_lines)
        server_log.prompts = live.logs.prompts
        to_output(output, live.logs.level)
        if isinstance(server, AttachedServer):
            server.interval = live.server.health.interval
        else:
            server.reload(live.server, replace=replace)

    reloader = Reloader(load, apply, output, loaded.config, loaded.origins, succeeded_at=time.time())
    sources = Sources(
        settings=start,
        snapshot=snapshot,
        processes=processes,
        usage=usage,
        output=output,
        server_log=server_log,
        reloaded=lambda: (reloader.successful, reloader.succeeded_at),
        pids=table.by_model,
        border=border,
    )
    collectors = [collector for build in COLLECTORS.values() if (collector := build(sources)) is not None]
    gpus = [collector for collector in collectors if isinstance(collector, GpuCollector)]
    scraper = Scraper(collectors, failures)
    metrics, history = MetricsHandler(scraper, timeout), History(scraper, timeout, border)
    services = Services(
        metrics=metrics,
        status=StatusHandler(snapshot, processes, usage, lambda: client.base_url),
        reloader=reloader,
        source=load,
        models=lambda: poller if processes.facts is not None and processes.facts.is_router else None,
        tail=output.tail,
        history=history,
        server=None if isinstance(server, AttachedServer) else server,
    )
    web = WebServer(services, start.web, border)
    return Parts(border, notifier, (client, health_client), poller, server, reloader, history, web)
