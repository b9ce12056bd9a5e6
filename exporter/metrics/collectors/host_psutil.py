"""The host as psutil shows it, where there is no `/proc` of Linux: what it does not know stays absent."""

import psutil

from exporter.metrics.definitions import host as catalog
from exporter.metrics.families import Family


def cpu() -> list[Family]:
    """CPU time by the modes that the system has, and CPUs."""
    seconds = psutil.cpu_times()._asdict()
    return [
        catalog.CPU_SECONDS.family(((mode,), value) for mode, value in seconds.items() if not mode.startswith("guest")),
        catalog.CPUS.one(psutil.cpu_count()),
    ]


def boot_time() -> list[Family]:
    """When the machine was booted."""
    return [catalog.BOOT_TIME.one(psutil.boot_time())]


def load() -> list[Family]:
    """Load averages."""
    return [catalog.LOAD.family(zip((("1m",), ("5m",), ("15m",)), psutil.getloadavg(), strict=True))]


def memory() -> list[Family]:
    """Memory; macOS does not tell how much of it is cache."""
    now = psutil.virtual_memory()
    return [
        catalog.MEMORY_TOTAL.one(now.total),
        catalog.MEMORY_AVAILABLE.one(now.available),
        catalog.MEMORY_USED.one(now.total - now.available),
    ]


def swap() -> list[Family]:
    """Swap space."""
    now = psutil.swap_memory()
    return [catalog.SWAP_TOTAL.one(now.total), catalog.SWAP_USED.one(now.used)]


def disks() -> list[Family]:
    """Bytes of each disk."""
    counted = psutil.disk_io_counters(perdisk=True)
    return [
        catalog.DISK_READ.family(((name,), disk.read_bytes) for name, disk in counted.items()),
        catalog.DISK_WRITTEN.family(((name,), disk.write_bytes) for name, disk in counted.items()),
    ]


def network() -> list[Family]:
    """Bytes of each network device but loopback, which is `lo` or `lo0`."""
    counted = {name: device for name, device in psutil.net_io_counters(pernic=True).items() if name[:2] != "lo"}
    return [
        catalog.NETWORK_RECEIVED.family(((name,), device.bytes_recv) for name, device in counted.items()),
        catalog.NETWORK_TRANSMITTED.family(((name,), device.bytes_sent) for name, device in counted.items()),
    ]


def mounts() -> list[tuple[str, str]]:
    """Device and mountpoint of each filesystem."""
    return [(partition.device, partition.mountpoint) for partition in psutil.disk_partitions(all=True)]
