"""The host's CPUs, memory, disks, network, filesystems and pressure."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil

from exporter.metrics.collectors import host_linux
from exporter.metrics.collectors.collector import Partial, SharedRead
from exporter.metrics.collectors.mounts import filesystems, read_mounts
from exporter.metrics.definitions import host as catalog
from exporter.metrics.families import Family

Read = Callable[[], list[Family]]
UNREADABLE = (OSError, ValueError, LookupError, RuntimeError, psutil.Error)
"""What a file or call raises that is missing or makes no sense here: its metrics are absent."""


class HostCollector:
    """Reads every file by itself: one that is missing or makes no sense leaves out its own metrics only.

    `model_paths` returns files and folders of models, whose filesystems are watched; they need not exist yet. `root` is
    where `proc` and `sys` are.
    """

    name = "host"
    metrics = (
        catalog.CPU_SECONDS,
        catalog.CPUS,
        catalog.BOOT_TIME,
        catalog.LOAD,
        catalog.MEMORY_TOTAL,
        catalog.MEMORY_AVAILABLE,
        catalog.MEMORY_USED,
        catalog.MEMORY_CACHED,
        catalog.SWAP_TOTAL,
        catalog.SWAP_USED,
        catalog.DISK_READ,
        catalog.DISK_WRITTEN,
        catalog.NETWORK_RECEIVED,
        catalog.NETWORK_TRANSMITTED,
        catalog.PRESSURE,
        catalog.OOM_KILLS,
        catalog.CPU_ENERGY,
        catalog.FILESYSTEM_SIZE,
        catalog.FILESYSTEM_AVAILABLE,
    )

    def __init__(self, *, model_paths: Callable[[], Sequence[Path]] = tuple, root: Path = Path("/")) -> None:
        self._model_paths = model_paths
        self._reads, self._mounts = _on_linux(root) if sys.platform == "linux" else _elsewhere()
        self._machine = SharedRead[list[Family]]()
        self._filesystems = SharedRead[list[Family]]()

    async def collect(self, deadline: float) -> list[Family]:
        """Read the machine and the filesystems in two threads: one on a server that went away can block for good."""
        machine = self._machine.in_thread(self._read_machine, deadline)
        if not (paths := tuple(self._model_paths())):
            return await machine
        read_filesystems = partial(self._read_filesystems, paths)
        families, found = await asyncio.gather(
            machine, self._filesystems.in_thread(read_filesystems, deadline), return_exceptions=True
        )
        if isinstance(families, BaseException):
            raise families
        if isinstance(found, BaseException):
            raise Partial(families, f"the filesystems of models cannot be read: {found!r}")
        return [*families, *found]

    def _read_machine(self) -> list[Family]:
        families: list[Family] = []
        for read in self._reads:
            with suppress(*UNREADABLE):
                families += read()
        if not any(family.samples for family in families):
            raise OSError("nothing of the host can be read")
        return families

    def _read_filesystems(self, paths: Sequence[Path]) -> list[Family]:
        try:
            return filesystems(paths, self._mounts())
        except UNREADABLE:
            return []


def _on_linux(root: Path) -> tuple[list[Read], Callable[[], list[tuple[str, str]]]]:
    files = (
        host_linux.cpu,
        host_linux.load,
        host_linux.memory,
        host_linux.disks,
        host_linux.network,
        host_linux.oom_kills,
        host_linux.pressure,
    )
    reads: list[Read] = [partial(read, root) for read in files]
    return [*reads, host_linux.CpuEnergy(root).families], lambda: [
        (mount.device, mount.point) for mount in read_mounts(root)
    ]


def _elsewhere() -> tuple[list[Read], Callable[[], list[tuple[str, str]]]]:
    """Return reads through psutil, where there is no `/proc` of Linux: what it does not know is absent."""
    return [_cpu, _boot_time, _load, _memory, _swap, _disks, _network], lambda: [
        (partition.device, partition.mountpoint) for partition in psutil.disk_partitions(all=True)
    ]


def _cpu() -> list[Family]:
    seconds = psutil.cpu_times()._asdict()
    return [
        catalog.CPU_SECONDS.family(((mode,), value) for mode, value in seconds.items() if not mode.startswith("guest")),
        catalog.CPUS.one(psutil.cpu_count()),
    ]


def _boot_time() -> list[Family]:
    return [catalog.BOOT_TIME.one(psutil.boot_time())]


def _load() -> list[Family]:
    return [catalog.LOAD.family(zip((("1m",), ("5m",), ("15m",)), psutil.getloadavg(), strict=True))]


def _memory() -> list[Family]:
    now = psutil.virtual_memory()  # macOS does not report how much of it is cache
    return [
        catalog.MEMORY_TOTAL.one(now.total),
        catalog.MEMORY_AVAILABLE.one(now.available),
        catalog.MEMORY_USED.one(now.total - now.available),
    ]


def _swap() -> list[Family]:
    now = psutil.swap_memory()
    return [catalog.SWAP_TOTAL.one(now.total), catalog.SWAP_USED.one(now.used)]


def _disks() -> list[Family]:
    counted = psutil.disk_io_counters(perdisk=True)
    return [
        catalog.DISK_READ.family(((name,), disk.read_bytes) for name, disk in counted.items()),
        catalog.DISK_WRITTEN.family(((name,), disk.write_bytes) for name, disk in counted.items()),
    ]


def _network() -> list[Family]:
    # Loopback is `lo` or `lo0`.
    counted = {name: device for name, device in psutil.net_io_counters(pernic=True).items() if name[:2] != "lo"}
    return [
        catalog.NETWORK_RECEIVED.family(((name,), device.bytes_recv) for name, device in counted.items()),
        catalog.NETWORK_TRANSMITTED.family(((name,), device.bytes_sent) for name, device in counted.items()),
    ]
