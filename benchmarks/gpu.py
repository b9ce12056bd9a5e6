"""What GPUs cost: CPU of a scrape, and of a second between scrapes. `python -m benchmarks.gpu`; exit code 1: too much.

Eight NVIDIA GPUs (the NVML of the tests, so without what the real driver costs), 500 processes on the host, five of
them on each GPU; and one GPU of AMD, as files, that llama-server has open.
"""

import asyncio
import ctypes
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pynvml

from exporter.metrics.collectors.gpu import GpuCollector
from exporter.metrics.collectors.gpu_amd import GpuAmdCollector
from exporter.metrics.collectors.gpu_nvidia import GpuNvidiaCollector
from exporter.tasks import Border
from tests.nvml.stub import Stub

SOURCE = Path(__file__).parents[1] / "tests/nvml/nvml.c"
GPUS = 8
PROCESSES = 500
ON_EACH = 5
SCRAPES = 500
LIMIT = 0.002
"""Seconds of CPU that a scrape may take."""
NEVER = 3600.0


def load_stub(folder: Path) -> None:
    """Put the NVML of the tests under pynvml."""
    library = folder / "libnvidia-ml.so.1"
    flags = ("-shared", "-fPIC", "-O2", "-D_GNU_SOURCE")
    subprocess.run([os.environ.get("CC", "cc"), *flags, "-o", str(library), str(SOURCE)], check=True)
    pynvml.nvmlLib = ctypes.CDLL(str(library))
    os.environ["NVML_STUB"] = str(folder / "nvml")


def write_amd(root: Path, pid: int) -> None:
    """A GPU of AMD, and a process of eight threads that has it open."""
    device = root / "sys/class/drm/renderD128/device"
    files = {
        device / "uevent": "DRIVER=amdgpu\nPCI_ID=1002:744C\nPCI_SLOT_NAME=0000:03:00.0\n",
        root / f"proc/{pid}/fdinfo/3": "drm-pdev:\t0000:03:00.0\ndrm-client-id:\t1\ndrm-memory-vram:\t8 KiB\n",
    }
    values = ("gpu_busy_percent", "mem_busy_percent", "mem_info_vram_total", "mem_info_vram_used")
    files |= {device / name: "7\n" for name in (*values, "mem_info_gtt_total", "mem_info_gtt_used")}
    sensors = ("temp1_input", "temp2_input", "temp3_input", "power1_average", "power1_cap", "freq1_input", "fan1_input")
    files |= {device / "hwmon/hwmon0" / name: "7\n" for name in sensors}
    files |= {root / f"proc/{pid}/task/{thread}/children": "" for thread in range(8)}
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (root / f"proc/{pid}/fd").mkdir()
    (root / f"proc/{pid}/fd/3").symlink_to("/dev/dri/renderD128")


async def cost(collector: GpuCollector) -> float:
    """Seconds of CPU of one scrape, threads included."""
    samples = sum(len(family.samples) for family in await collector.collect(NEVER + time.monotonic()))
    before = time.process_time()
    for _ in range(SCRAPES):
        await collector.collect(NEVER + time.monotonic())
    seconds = (time.process_time() - before) / SCRAPES
    print(f"{collector.name:<12}{seconds * 1e3:7.2f} ms CPU per scrape, {samples} samples")
    return seconds


def measure_tick(name: str, tick: Callable[[], None]) -> None:
    """Print seconds of CPU of one tick."""
    count = 50
    before = time.process_time()
    for _ in range(count):
        tick()
    print(f"{name:<12}{(time.process_time() - before) / count * 1e3:7.2f} ms CPU per second between scrapes")


async def measure(root: Path, server: int) -> int:
    """Measure and print; the exit code."""
    processes = {"model": server}
    nvidia = GpuNvidiaCollector(lambda: processes, Border(), required=True, every=NEVER)
    amd = GpuAmdCollector(lambda: processes, Border(), required=True, root=root, every=NEVER)
    worst = max([await cost(collector) for collector in (nvidia, amd)])
    for collector in (nvidia, amd):
        measure_tick(collector.name, lambda gpus=collector.gpus: gpus.tick(processes))  # type: ignore[misc]
    print(f"allowed are {LIMIT * 1e3:.1f} ms per scrape with {GPUS} GPUs and {PROCESSES} processes")
    return int(worst > LIMIT)


def main() -> int:
    """Set the scene, measure, clear up."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        load_stub(folder)
        sleepers = [subprocess.Popen(["/bin/sleep", str(NEVER)]) for _ in range(PROCESSES)]
        try:
            stub, control = Stub(folder / "nvml"), dict[str, object]({"gpus": GPUS})
            for gpu in range(GPUS):
                users = [sleepers[0], *sleepers[1 + gpu * ON_EACH : (gpu + 1) * ON_EACH]]
                control[f"compute.{gpu}"] = ",".join(f"{user.pid}:1048576" for user in users)
                control[f"use.{gpu}"] = ",".join(f"{user.pid}:10" for user in users)
            stub.put(control)
            write_amd(folder / "root", sleepers[0].pid)
            return asyncio.run(measure(folder / "root", sleepers[0].pid))
        finally:
            for sleeper in sleepers:
                sleeper.kill()
            for sleeper in sleepers:
                sleeper.wait()


if __name__ == "__main__":
    sys.exit(main())
