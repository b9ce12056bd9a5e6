"""The container that the exporter and llama-server run in, as its cgroup shows it."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from exporter.metrics.collectors.collector import NoData, SharedRead
from exporter.metrics.collectors.mounts import Cgroups
from exporter.metrics.definitions import host as catalog
from exporter.metrics.families import Family

UNLIMITED = 2**60
"""A memory limit from here on means none: v1 writes "no limit" as the largest number of whole pages."""


class ContainerCollector:
    """Reads cgroup v2 or v1.

    Their formats: the kernel's Documentation/admin-guide/cgroup-v2.rst, admin-guide/cgroup-v1/memory.rst and
    scheduler/sched-bwc.rst.

    Of limits the lowest counts, whether of the own cgroup or of one above. `root` is where `proc` and `sys` are.
    """

    name = "container"
    metrics = (
        catalog.CONTAINER_MEMORY_LIMIT,
        catalog.CONTAINER_MEMORY_USED,
        catalog.CONTAINER_CPU_LIMIT,
        catalog.CONTAINER_THROTTLED,
    )

    def __init__(self, *, root: Path = Path("/")) -> None:
        self._root = root
        self._shared = SharedRead[list[Family]]()

    async def collect(self, deadline: float) -> list[Family]:
        """Read the files in a thread."""
        return await self._shared.in_thread(self._read, deadline)

    def _read(self) -> list[Family]:
        try:
            cgroups = Cgroups(self._root)
        except FileNotFoundError:
            raise NoData from None
        if not cgroups:
            raise NoData
        # Both versions may be mounted, each with some of the controllers: what v1 has, v2 does not have.
        if memory := cgroups.v1("memory"):
            limits = [*_known(_memory_limit_v1, memory), *_known(_memory_limit_above_v1, memory[:1])]
            used = _known(_memory_used_v1, memory[:1])
        else:
            limits = _known(_memory_limit, cgroups.v2())
            used = _known(_memory_used, cgroups.v2()[:1])
        if cpu := cgroups.v1("cpu"):
            cpus, throttled = _known(_cpu_limit_v1, cpu), _known(_throttled_v1, cpu)
        else:
            cpus, throttled = _known(_cpu_limit, cgroups.v2()), _known(_throttled, cgroups.v2())
        return [
            catalog.CONTAINER_MEMORY_LIMIT.one(min((limit for limit in limits if limit < UNLIMITED), default=None)),
            catalog.CONTAINER_MEMORY_USED.one(used[0] if used else None),
            catalog.CONTAINER_CPU_LIMIT.one(min(cpus, default=None)),
            catalog.CONTAINER_THROTTLED.one(sum(throttled) if throttled else None),
        ]


def _known(read: Callable[[Path], float | None], folders: Iterable[Path]) -> list[float]:
    # A cgroup may lack any of the files: the root has no limits, a controller may be off from some level on.
    values = []
    for folder in folders:
        with suppress(OSError, ValueError, LookupError, ArithmeticError):
            value = read(folder)
            if value is not None:
                values.append(value)
    return values


def _memory_limit(folder: Path) -> float | None:
    limit = (folder / "memory.max").read_text().strip()
    return None if limit == "max" else int(limit)


def _memory_used(folder: Path) -> float:
    return max(0, int((folder / "memory.current").read_text()) - _stat(folder / "memory.stat")["inactive_file"])


def _cpu_limit(folder: Path) -> float | None:
    quota, period = (folder / "cpu.max").read_text().split()
    return None if quota == "max" else int(quota) / int(period)


def _throttled(folder: Path) -> float:
    return _stat(folder / "cpu.stat")["throttled_usec"] / 1e6


def _memory_limit_v1(folder: Path) -> float:
    return int((folder / "memory.limit_in_bytes").read_text())


def _memory_limit_above_v1(folder: Path) -> float:
    # The lowest of all cgroups above, also of those that are not visible here.
    return _stat(folder / "memory.stat")["hierarchical_memory_limit"]


def _memory_used_v1(folder: Path) -> float:
    # "total_" includes the cgroups below, as the usage does.
    usage = int((folder / "memory.usage_in_bytes").read_text())
    return max(0, usage - _stat(folder / "memory.stat")["total_inactive_file"])


def _cpu_limit_v1(folder: Path) -> float | None:
    quota = int((folder / "cpu.cfs_quota_us").read_text())
    return None if quota < 0 else quota / int((folder / "cpu.cfs_period_us").read_text())


def _throttled_v1(folder: Path) -> float:
    return _stat(folder / "cpu.stat")["throttled_time"] / 1e9


def _stat(file: Path) -> dict[str, int]:
    return {name: int(value) for name, value in map(str.split, file.read_text().splitlines())}
