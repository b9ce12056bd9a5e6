"""The exporter about itself."""

import platform
import resource
import time
from collections.abc import Callable, Mapping

import psutil

import exporter
from exporter.logs.output import LogOutput
from exporter.logs.server_log import ServerLog
from exporter.metrics.definitions import exporter as definitions
from exporter.metrics.families import Family


class ExporterCollector:
    """Version, log counts, the state of the configuration, and the exporter's own process.

    `reloaded` returns whether the last load of the configuration succeeded, and the Unix time of the last that did.
    """

    name = "exporter"
    metrics = (
        definitions.BUILD_INFO,
        definitions.LOG_LINES,
        definitions.LOG_PROBLEMS,
        definitions.LOG_DROPPED,
        definitions.LOG_BYTES,
        definitions.TASK_FAILURES,
        definitions.RELOAD_SUCCESSFUL,
        definitions.RELOAD_TIME,
        definitions.PROCESS_CPU,
        definitions.PROCESS_RSS,
        definitions.PROCESS_VIRTUAL,
        definitions.PROCESS_FDS,
        definitions.PROCESS_MAX_FDS,
        definitions.PROCESS_START,
    )

    def __init__(
        self,
        output: LogOutput,
        server_log: ServerLog,
        reloaded: Callable[[], tuple[bool, float]],
        failures: Mapping[str, int],
    ) -> None:
        self._output = output
        self._server_log = server_log
        self._failures = failures
        self._reloaded = reloaded
        self._process = psutil.Process()
        self._started = self._process.create_time()

    async def collect(self, _: float) -> list[Family]:
        """Counts and sizes now."""
        successful, when = self._reloaded()
        memory = self._process.memory_info()
        return [
            definitions.BUILD_INFO.one(1, exporter.__version__, platform.python_version()),
            definitions.LOG_LINES.family(self._output.counts),
            definitions.LOG_PROBLEMS.family(self._output.problems),
            definitions.LOG_DROPPED.one(self._output.dropped),
            definitions.LOG_BYTES.one(self._server_log.read_bytes),
            definitions.TASK_FAILURES.family(((task,), count) for task, count in self._failures.items()),
            definitions.RELOAD_SUCCESSFUL.one(successful),
            definitions.RELOAD_TIME.one(when),
            definitions.PROCESS_CPU.one(time.process_time()),
            definitions.PROCESS_RSS.one(memory.rss),
            definitions.PROCESS_VIRTUAL.one(memory.vms),
            definitions.PROCESS_FDS.one(self._process.num_fds()),
            definitions.PROCESS_MAX_FDS.one(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
            definitions.PROCESS_START.one(self._started),
        ]
