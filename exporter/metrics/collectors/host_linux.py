"""The host as Linux's `/proc` shows it: a function for each file, one read each. Formats: proc(5) and its parts."""

import os
import re
from collections import Counter
from pathlib import Path

from exporter.metrics.definitions import host as catalog
from exporter.metrics.families import Family

TICKS = os.sysconf("SC_CLK_TCK")
"""Clock ticks a second, the unit of CPU time in `/proc`."""
SECTOR = 512
"""Bytes of a sector in `/proc/diskstats`, whatever the disk's own sectors are."""

MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
"""Columns of the `cpu` line. The two after them, guest times, are part of user and nice already."""

_PATH_OF_NVME = re.compile(r"(nvme\d+)c\d+(n\d+)")


def cpu(root: Path) -> list[Family]:
    """Read `/proc/stat`: CPU time, CPUs, boot time."""
    text = (root / "proc/stat").read_text()
    label, *ticks = text.partition("\n")[0].split()
    if label != "cpu":
        raise ValueError("no CPU line in /proc/stat")
    boot = re.search(r"^btime (\d+)$", text, re.MULTILINE)
    seconds = [((mode,), int(value) / TICKS) for mode, value in zip(MODES, ticks, strict=False)]
    return [
        catalog.CPU_SECONDS.family(seconds),
        catalog.CPUS.one(len(re.findall(r"^cpu\d", text, re.MULTILINE)) or None),
        catalog.BOOT_TIME.one(int(boot[1]) if boot else None),
    ]


def load(root: Path) -> list[Family]:
    """Read `/proc/loadavg`."""
    one, five, fifteen, *_ = (root / "proc/loadavg").read_text().split()
    return [catalog.LOAD.family({("1m",): float(one), ("5m",): float(five), ("15m",): float(fifteen)})]


def memory(root: Path) -> list[Family]:
    """Read `/proc/meminfo`, whose kB are 1024 bytes."""
    pairs = re.findall(r"^(Mem\w+|Cached|Swap\w+): +(\d+) kB$", (root / "proc/meminfo").read_text(), re.MULTILINE)
    size = {name: int(value) * 1024 for name, value in pairs}

    def less(whole: str, part: str) -> int | None:
        return size[whole] - size[part] if whole in size and part in size else None

    return [
        catalog.MEMORY_TOTAL.one(size.get("MemTotal")),
        catalog.MEMORY_AVAILABLE.one(size.get("MemAvailable")),
        catalog.MEMORY_USED.one(less("MemTotal", "MemAvailable")),
        catalog.MEMORY_CACHED.one(size.get("Cached")),
        catalog.SWAP_TOTAL.one(size.get("SwapTotal")),
        catalog.SWAP_USED.one(less("SwapTotal", "SwapFree")),
    ]


def disks(root: Path) -> list[Family]:
    """Read `/proc/diskstats` (Documentation/admin-guide/iostats.rst) for what `/sys/block` calls a device."""
    sectors: dict[str, tuple[int, int]] = {}
    paths: Counter[tuple[str, int]] = Counter()
    for line in (root / "proc/diskstats").read_text().splitlines():
        _major, _minor, name, _reads, _merged, read, _ms, _writes, _merged_writes, written, *_ = line.split()
        # Partitions are not in /sys/block, and what is made of other disks (dm, md, loop, zram) has no device there.
        if not _is_device(f"{root}/sys/block/{name.replace('/', '!')}"):
            continue
        # An NVMe disk with several paths shows each (nvme0c1n1) beside itself (nvme0n1), which old kernels leave at 0.
        if path := _PATH_OF_NVME.fullmatch(name):
            paths[path[1] + path[2], 0] += int(read)
            paths[path[1] + path[2], 1] += int(written)
        else:
            sectors[name] = int(read), int(written)
    for disk, (read_sectors, written_sectors) in sectors.items():
        sectors[disk] = max(read_sectors, paths[disk, 0]), max(written_sectors, paths[disk, 1])
    return [
        catalog.DISK_READ.family(((name,), read * SECTOR) for name, (read, _) in sectors.items()),
        catalog.DISK_WRITTEN.family(((name,), written * SECTOR) for name, (_, written) in sectors.items()),
    ]


def network(root: Path) -> list[Family]:
    """Read `/proc/net/dev`, which is that of the reader's network namespace."""
    counted: dict[str, tuple[int, int]] = {}
    for line in (root / "proc/net/dev").read_text().splitlines()[2:]:
        # With large counts only the colon separates the name from the first number; aliases have a colon of their own.
        name, _, numbers = line.rpartition(":")
        received, *_rest, transmitted, _, _, _, _, _, _, _ = numbers.split()
        counted[name.strip()] = int(received), int(transmitted)
    # In a container every device is virtual; on a host bridges, bonds and tunnels would count the same bytes again.
    physical = [name for name in counted if _is_device(f"{root}/sys/class/net/{name}")]
    names = physical or [name for name in counted if name != "lo" and not name.startswith("veth")]
    return [
        catalog.NETWORK_RECEIVED.family(((name,), counted[name][0]) for name in names),
        catalog.NETWORK_TRANSMITTED.family(((name,), counted[name][1]) for name in names),
    ]


def _is_device(folder: str) -> bool:
    # Text, not Path, which costs four times as much: a host may have hundreds of loop devices and container interfaces.
    return os.path.exists(f"{folder}/device")  # noqa: PTH110


def oom_kills(root: Path) -> list[Family]:
    """Read `/proc/vmstat`, which counts them since Linux 4.13."""
    kills = re.search(r"^oom_kill (\d+)$", (root / "proc/vmstat").read_text(), re.MULTILINE)
    return [catalog.OOM_KILLS.one(int(kills[1]) if kills else None)]


def pressure(root: Path) -> list[Family]:
    """Read `/proc/pressure/{cpu,memory,io}`, microseconds (the kernel's Documentation/accounting/psi.rst)."""
    stalled: dict[tuple[str, ...], float] = {}
    for resource in ("cpu", "memory", "io"):
        try:
            # some avg10=0.44 avg60=1.66 avg300=3.17 total=504813609
            for line in (root / "proc/pressure" / resource).read_text().splitlines():
                kind, *_, total = line.split()
                stalled[resource, kind] = int(total.removeprefix("total=")) / 1e6
        except (OSError, ValueError):
            continue  # kernels without PSI lack the files, and those booted with psi=0 refuse to read them
    return [catalog.PRESSURE.family(stalled)]


class CpuEnergy:
    """Adds up the kernel's counters, which wrap every some minutes of full load (max_energy_range_uj).

    Starts at 0: a total that began with the counter would jump when the exporter restarts after a wrap. Wraps between
    two readings that lie further apart than a wrap takes can't be seen.
    """

    def __init__(self, root: Path) -> None:
        self._powercap = root / "sys/class/powercap"
        self._last: dict[str, int] = {}
        self._total: dict[str, int] = {}

    def families(self) -> list[Family]:
        """Read `intel-rapl:N` (Documentation/power/powercap/powercap.rst; AMD's have the same names)."""
        now = {}
        # Not intel-rapl-mmio:N, the same packages through other registers, nor intel-rapl:N:M, their parts.
        for zone in sorted(self._powercap.glob("intel-rapl:*")):
            try:
                kind, _, package = (zone / "name").read_text().strip().partition("-")
                if kind == "package" and zone.name.count(":") == 1:
                    now[package] = self._add(package, zone)
            except (OSError, ValueError):
                continue  # since Linux 5.10 only root may read the energy (CVE-2020-8694)
        return [catalog.CPU_ENERGY.family(((package,), total / 1e6) for package, total in now.items())]

    def _add(self, package: str, zone: Path) -> int:
        energy = int((zone / "energy_uj").read_text())
        used = energy - self._last.get(package, energy)
        if used < 0:
            used += int((zone / "max_energy_range_uj").read_text())
        self._last[package] = energy
        self._total[package] = self._total.get(package, 0) + max(used, 0)
        return self._total[package]
