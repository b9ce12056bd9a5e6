"""llama-server's own processes, read from Linux's /proc or through psutil."""

import os
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import psutil

from exporter.metrics.collectors.collector import NoData, SharedRead
from exporter.metrics.collectors.host_linux import TICKS
from exporter.metrics.definitions import server as catalog
from exporter.metrics.families import Family

PAGE = os.sysconf("SC_PAGE_SIZE")

T = TypeVar("T")


class ProcessUsage(NamedTuple):
    """In the order of the metrics of `ProcessCollector`; None is unknown."""

    cpu_seconds: float | None
    resident: int | None
    virtual: int | None
    threads: int | None
    fds: int | None
    major_faults: int | None
    read: int | None
    written: int | None


def linux_usage(pid: int, root: Path = Path("/")) -> ProcessUsage | None:
    """Read `/proc/PID/{fd,io,stat}` (proc_pid_stat(5), proc_pid_io(5)); None when the process has ended."""
    folder = root / "proc" / str(pid)
    fds, (read, written) = _fds(folder), _io(folder)
    # Last, since it shows whether the process was still there when the others were read.
    try:
        stat = (folder / "stat").read_bytes()
    except OSError:
        return None
    # The name, in parentheses, may hold blanks and parentheses: fields count from the last one, the third is the first.
    fields = stat[stat.rfind(b")") + 1 :].split()
    try:
        if fields[0] in b"ZX":
            return None  # ended, and not yet reaped by its parent
        return ProcessUsage(
            cpu_seconds=(int(fields[11]) + int(fields[12])) / TICKS,
            resident=int(fields[21]) * PAGE,
            virtual=int(fields[20]),
            threads=int(fields[17]),
            fds=fds,
            major_faults=int(fields[9]),
            read=read,
            written=written,
        )
    except (ValueError, IndexError):
        return ProcessUsage(None, None, None, None, fds, None, read, written)


def _fds(folder: Path) -> int | None:
    try:
        return len(os.listdir(folder / "fd"))  # noqa: PTH208 -- Path.iterdir makes a Path of each
    except OSError:
        return None


def _io(folder: Path) -> tuple[int | None, int | None]:
    try:
        text = (folder / "io").read_text()
    except (OSError, ValueError):
        return None, None  # of another user, or a kernel without I/O accounting
    read, written = (re.search(rf"^{name}: (\d+)$", text, re.MULTILINE) for name in ("read_bytes", "write_bytes"))
    return int(read[1]) if read else None, int(written[1]) if written else None


def psutil_usage(pid: int) -> ProcessUsage | None:
    """Read through psutil; None when the process has ended. Outside of Linux, page-ins count as major faults."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            times, memory = _allowed(process.cpu_times), _allowed(process.memory_info)
            io = _allowed(process.io_counters) if hasattr(process, "io_counters") else None
            return ProcessUsage(
                cpu_seconds=times.user + times.system if times else None,
                resident=memory.rss if memory else None,
                virtual=memory.vms if memory else None,
                threads=_allowed(process.num_threads),
                fds=_allowed(process.num_fds),
                major_faults=getattr(memory, "pageins", None),
                read=io.read_bytes if io else None,
                written=io.write_bytes if io else None,
            )
    except psutil.NoSuchProcess:
        return None


def _allowed(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except psutil.AccessDenied:
        return None


class ProcessCollector:
    """Reads the processes that `processes` returns, and no others.

    `processes` returns the PID of each running model by its name, and under the empty name the router's. A process that
    has ended has no samples. `root` is where `proc` is.
    """

    name = "process"
    metrics = (
        catalog.PROCESS_CPU_SECONDS,
        catalog.PROCESS_RESIDENT_MEMORY,
        catalog.PROCESS_VIRTUAL_MEMORY,
        catalog.PROCESS_THREADS,
        catalog.PROCESS_OPEN_FDS,
        catalog.PROCESS_MAJOR_PAGE_FAULTS,
        catalog.PROCESS_READ_BYTES,
        catalog.PROCESS_WRITE_BYTES,
    )

    def __init__(self, processes: Callable[[], Mapping[str, int]], *, root: Path = Path("/")) -> None:
        self._processes = processes
        self._root = root
        self._shared = SharedRead[list[Family]]()

    async def collect(self, deadline: float) -> list[Family]:
        """Read the files in a thread."""
        processes = dict(self._processes())
        if not processes:
            raise NoData
        return await self._shared.in_thread(partial(self._read, processes), deadline)

    def _read(self, processes: Mapping[str, int]) -> list[Family]:
        usages = {model: self._usage(pid) for model, pid in processes.items()}
        rows = [(model, usage) for model, usage in usages.items() if usage is not None]
        return [
            metric.family(((model,), value) for model, usage in rows if (value := usage[column]) is not None)
            for column, metric in enumerate(self.metrics)
        ]

    def _usage(self, pid: int) -> ProcessUsage | None:
        return linux_usage(pid, self._root) if sys.platform == "linux" else psutil_usage(pid)
