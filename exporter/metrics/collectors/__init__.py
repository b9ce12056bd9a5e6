"""All collectors, in the order of the page: the one list of them."""

from collections.abc import Callable

from exporter.metrics.collectors.collector import Collector, Sources
from exporter.metrics.collectors.container import ContainerCollector
from exporter.metrics.collectors.exporter import ExporterCollector
from exporter.metrics.collectors.gpu_amd import GpuAmdCollector
from exporter.metrics.collectors.gpu_nvidia import GpuNvidiaCollector
from exporter.metrics.collectors.host import HostCollector
from exporter.metrics.collectors.native import NativeCollector
from exporter.metrics.collectors.process import ProcessCollector
from exporter.metrics.collectors.server import ModelsCollector, ServerCollector, SlotsCollector
from exporter.metrics.collectors.usage import RequestsCollector, UsageCollector

COLLECTORS: dict[str, Callable[[Sources], Collector | None]] = {
    "server": lambda sources: ServerCollector(sources.snapshot, sources.server_log.http_requests),
    "models": lambda sources: ModelsCollector(sources.processes),
    "usage": lambda sources: UsageCollector(sources.usage, sources.processes),
    "requests": lambda sources: RequestsCollector(sources.usage, sources.processes),
    "slots": lambda sources: SlotsCollector(sources.processes),
    "native": lambda sources: NativeCollector(sources.processes),
    "process": lambda sources: ProcessCollector(sources.pids) if sources.settings.metrics.collectors.process else None,
    "host": lambda sources: (
        HostCollector(model_paths=sources.model_files) if sources.settings.metrics.collectors.host else None
    ),
    "container": lambda sources: ContainerCollector() if sources.settings.metrics.collectors.container else None,
    "gpu_nvidia": lambda sources: (
        GpuNvidiaCollector(
            sources.pids, sources.border, required=sources.settings.metrics.collectors.gpu_nvidia is True
        )
        if sources.settings.metrics.collectors.gpu_nvidia
        else None
    ),
    "gpu_amd": lambda sources: (
        GpuAmdCollector(sources.pids, sources.border, required=sources.settings.metrics.collectors.gpu_amd is True)
        if sources.settings.metrics.collectors.gpu_amd
        else None
    ),
    "exporter": lambda sources: ExporterCollector(
        sources.output, sources.server_log, sources.reloaded, sources.border.failures
    ),
}
"""A builder for each; None where the configuration turns it off."""
