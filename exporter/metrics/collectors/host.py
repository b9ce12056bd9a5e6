"""The host's CPUs, memory, disks, network, filesystems and pressure."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import psutil

from exporter.metrics.collectors import host_linux, host_psutil
from exporter.metrics.collectors.host_linux import CpuEnergy, pressure
from exporter.metrics.collectors.mounts import filesystems, read_mounts
from exporter.metrics.definitions import host as catalog
from exporter.metrics.families import Family

Source = Callable[[], list[Family]]


class HostCollector:
    """Reads each source by itself: one that is missing or makes no sense leaves its own metrics out, no others.

    `model_paths` are files and folders of models, of which the filesystems are watched; they need not exist yet. `root`
    is where `proc` and `sys` lie.
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
        self._sources, self._mounts = _on_linux(root) if sys.platform == "linux" else _elsewhere()
        self._reading: asyncio.Task[list[Family]] | None = None

    async def collect(self) -> list[Family]:
        """Read all sources in a thread; a scrape that comes meanwhile shares the result.

        A filesystem on a server that went away can block a read for good: this way it holds one thread, not one more
        with each scrape.
        """
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(asyncio.to_thread(self._read, tuple(self._model_paths())))
        return await asyncio.shield(self._reading)

    def _read(self, model_paths: Sequence[Path]) -> list[Family]:
        families: list[Family] = []
        sources: list[Source] = [*self._sources, partial(self._filesystems, model_paths)]
        for source in sources:
            try:
                families += source()
            except (OSError, ValueError, LookupError, RuntimeError, psutil.Error):
                continue  # what can't be known is absent
        if not any(family.samples for family in families):
            raise OSError("nothing of the host can be read")
        return families

    def _filesystems(self, model_paths: Sequence[Path]) -> list[Family]:
        return filesystems(model_paths, self._mounts()) if model_paths else []


def _on_linux(root: Path) -> tuple[list[Source], Callable[[], list[tuple[str, str]]]]:
    files = (
        host_linux.cpu,
        host_linux.load,
        host_linux.memory,
        host_linux.disks,
        host_linux.network,
        host_linux.oom_kills,
        pressure,
    )
    sources: list[Source] = [partial(read, root) for read in files]
    return [*sources, CpuEnergy(root).families], lambda: [(mount.device, mount.point) for mount in read_mounts(root)]


def _elsewhere() -> tuple[list[Source], Callable[[], list[tuple[str, str]]]]:
    return [
        host_psutil.cpu,
        host_psutil.boot_time,
        host_psutil.load,
        host_psutil.memory,
        host_psutil.swap,
        host_psutil.disks,
        host_psutil.network,
    ], host_psutil.mounts
