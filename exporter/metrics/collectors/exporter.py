"""The exporter about itself."""

import platform
import resource
import time
from collections.abc import Callable

import psutil

import exporter
from exporter.logs.output import LogOutput
from exporter.logs.server_log import ServerLog
from exporter.metrics.definitions import exporter as catalog
from exporter.metrics.families import Family


class ExporterCollector:
    """Version, log counts, the state of the configuration, and the exporter's own process.

    `reloaded` tells whether the last loading of the configuration worked, and the Unix time of the last that did.
    """

    name = "exporter"
    metrics = (
        catalog.BUILD_INFO,
        catalog.LOG_LINES,
        catalog.LOG_PROBLEMS,
        catalog.LOG_DROPPED,
        catalog.LOG_BYTES,
        catalog.RELOAD_SUCCESSFUL,
        catalog.RELOAD_TIME,
        catalog.PROCESS_CPU,
        catalog.PROCESS_RSS,
        catalog.PROCESS_VIRTUAL,
        catalog.PROCESS_FDS,
        catalog.PROCESS_MAX_FDS,
        catalog.PROCESS_START,
    )

    def __init__(self, log: LogOutput, server_log: ServerLog, reloaded: Callable[[], tuple[bool, float]]) -> None:
        self._log = log
        self._server_log = server_log
        self._reloaded = reloaded
        self._process = psutil.Process()
        self._started = self._process.create_time()

    async def collect(self) -> list[Family]:
        """Counts and sizes now."""
        successful, when = self._reloaded()
        memory = self._process.memory_info()
        return [
            catalog.BUILD_INFO.one(1, exporter.__version__, platform.python_version()),
            catalog.LOG_LINES.family(self._log.counts),
            catalog.LOG_PROBLEMS.family(self._log.problems),
            catalog.LOG_DROPPED.one(self._log.dropped),
            catalog.LOG_BYTES.one(self._server_log.read_bytes),
            catalog.RELOAD_SUCCESSFUL.one(successful),
            catalog.RELOAD_TIME.one(when),
            catalog.PROCESS_CPU.one(time.process_time()),
            catalog.PROCESS_RSS.one(memory.rss),
            catalog.PROCESS_VIRTUAL.one(memory.vms),
            catalog.PROCESS_FDS.one(self._process.num_fds()),
            catalog.PROCESS_MAX_FDS.one(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
            catalog.PROCESS_START.one(self._started),
        ]
