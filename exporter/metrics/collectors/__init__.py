"""All collectors, in the order of the page: the one list of them."""

from collections.abc import Callable

from exporter.metrics.collectors.collector import Collector
from exporter.metrics.collectors.container import ContainerCollector
from exporter.metrics.collectors.exporter import ExporterCollector
from exporter.metrics.collectors.gpu_amd import GpuAmdCollector
from exporter.metrics.collectors.gpu_nvidia import GpuNvidiaCollector
from exporter.metrics.collectors.host import HostCollector
from exporter.metrics.collectors.models import ModelsCollector, SlotsCollector
from exporter.metrics.collectors.native import NativeCollector
from exporter.metrics.collectors.process import ProcessCollector
from exporter.metrics.collectors.server import ServerCollector
from exporter.metrics.collectors.sources import Sources
from exporter.metrics.collectors.usage import RequestsCollector, UsageCollector

COLLECTORS: dict[str, Callable[[Sources], Collector | None]] = {
    "server": lambda sources: ServerCollector(sources.snapshot, sources.server_log.http_requests),
    "models": lambda sources: ModelsCollector(sources.models),
    "usage": lambda sources: UsageCollector(sources.models),
    "requests": lambda sources: RequestsCollector(sources.models),
    "slots": lambda sources: SlotsCollector(sources.models),
    "native": lambda sources: NativeCollector(sources.models),
    "process": lambda sources: (
        ProcessCollector(sources.processes) if sources.config.metrics.collectors.process else None
    ),
    "host": lambda sources: (
        HostCollector(model_paths=sources.model_files) if sources.config.metrics.collectors.host else None
    ),
    "container": lambda sources: ContainerCollector() if sources.config.metrics.collectors.container else None,
    "gpu_nvidia": lambda sources: (
        GpuNvidiaCollector(sources.processes, required=sources.config.metrics.collectors.gpu_nvidia is True)
        if sources.config.metrics.collectors.gpu_nvidia
        else None
    ),
    "gpu_amd": lambda sources: (
        GpuAmdCollector(sources.processes, required=sources.config.metrics.collectors.gpu_amd is True)
        if sources.config.metrics.collectors.gpu_amd
        else None
    ),
    "exporter": lambda sources: ExporterCollector(sources.log, sources.server_log, sources.reloaded),
}
"""A builder for each; None where the configuration turns it off."""
