"""llama-server's own processes."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from exporter.catalog import process as catalog
from exporter.catalog.metric import Family
from exporter.collectors.collector import NoData
from exporter.collectors.process_usage import Usage, linux_usage, psutil_usage


class ProcessCollector:
    """Reads the processes that it is told of, and walks over no others.

    `processes` gives the pid of each running model by its name, and under the empty name the router's. A process that
    is gone has no samples. `root` is where `proc` lies.
    """

    name = "process"
    metrics = (
        catalog.CPU_SECONDS,
        catalog.RESIDENT_MEMORY,
        catalog.VIRTUAL_MEMORY,
        catalog.THREADS,
        catalog.OPEN_FDS,
        catalog.MAJOR_PAGE_FAULTS,
        catalog.READ_BYTES,
        catalog.WRITE_BYTES,
    )

    def __init__(self, processes: Callable[[], Mapping[str, int]], *, root: Path = Path("/")) -> None:
        self._processes = processes
        self._root = root

    async def collect(self) -> list[Family]:
        """Read the files in a thread."""
        processes = dict(self._processes())
        if not processes:
            raise NoData
        return await asyncio.to_thread(self._read, processes)

    def _read(self, processes: Mapping[str, int]) -> list[Family]:
        usages = {model: self._usage(pid) for model, pid in processes.items()}
        rows = [(model, usage) for model, usage in usages.items() if usage is not None]
        return [
            metric.family(((model,), value) for model, usage in rows if (value := usage[column]) is not None)
            for column, metric in enumerate(self.metrics)
        ]

    def _usage(self, pid: int) -> Usage | None:
        return linux_usage(pid, self._root) if sys.platform == "linux" else psutil_usage(pid)
