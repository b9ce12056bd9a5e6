"""Our values of NVIDIA's GPUs beside nvidia-smi's, on a machine that has some: `python benchmarks/check_gpu.py`.

Values move, so ours are read before and after nvidia-smi: what it says has to lie between the two, or as near to them
as the tolerance allows. Exit code 0: all agree; 1: something differs or is there on one side only, or there is no GPU.
"""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import NamedTuple
from xml.etree import ElementTree as ET

from exporter.metrics.collectors.collector import NoData, Partial
from exporter.metrics.collectors.gpu_nvidia import GpuNvidiaCollector
from exporter.tasks import Border

Key = tuple[str, ...]
"""Name of the metric, uuid, and the values of further labels."""

COMMAND = ("nvidia-smi", "-q", "-x")
EVERY = 0.2
"""Seconds between samples of rates, each of one GPU."""
DEADLINE = 60.0
MIB = 1 << 20
UNITS = {"%": 0.01, "MiB": MIB, "C": 1.0, "W": 1.0, "MHz": 1e6, "KB/s": 1000.0, "": 1.0}
ELEMENTS: dict[Key, tuple[str, ...]] = {
    ("llama_gpu_utilization_ratio",): ("utilization/gpu_util",),
    ("llama_gpu_memory_utilization_ratio",): ("utilization/memory_util",),
    ("llama_gpu_fan_speed_ratio",): ("fan_speed",),
    ("llama_gpu_memory_total_bytes",): ("fb_memory_usage/total",),
    ("llama_gpu_memory_used_bytes",): ("fb_memory_usage/used",),
    ("llama_gpu_memory_free_bytes",): ("fb_memory_usage/free",),
    ("llama_gpu_temperature_celsius", "gpu"): ("temperature/gpu_temp",),
    ("llama_gpu_temperature_celsius", "memory"): ("temperature/memory_temp",),
    ("llama_gpu_power_watts",): (
        "gpu_power_readings/average_power_draw",
        "gpu_power_readings/power_draw",
        "gpu_power_readings/instant_power_draw",
        "power_readings/power_draw",
    ),
    ("llama_gpu_power_limit_watts",): ("gpu_power_readings/current_power_limit", "power_readings/enforced_power_limit"),
    ("llama_gpu_clock_hertz", "graphics"): ("clocks/graphics_clock",),
    ("llama_gpu_clock_hertz", "sm"): ("clocks/sm_clock",),
    ("llama_gpu_clock_hertz", "memory"): ("clocks/mem_clock",),
    ("llama_gpu_clock_hertz", "video"): ("clocks/video_clock",),
    ("llama_gpu_pcie_received_bytes_per_second",): ("pci/rx_util",),
    ("llama_gpu_pcie_transmitted_bytes_per_second",): ("pci/tx_util",),
}
"""Where nvidia-smi has our values; names changed with the drivers, and the first that is there counts."""
REASON = re.compile(r"clocks_(?:event|throttle)_reason_(?!gpu_idle)(\w+)")
ECC = {"corrected": re.compile(r"\w+_correctable"), "uncorrected": re.compile(r"\w+_uncorrectable\w*")}
TOLERANCES = {
    "llama_gpu_info": (0, 0),
    "llama_gpu_utilization_ratio": (0.3, 0),  # of another moment
    "llama_gpu_memory_utilization_ratio": (0.3, 0),
    "llama_gpu_fan_speed_ratio": (0.05, 0),
    "llama_gpu_memory_total_bytes": (MIB, 0),  # nvidia-smi gives whole MiB
    "llama_gpu_memory_used_bytes": (64 * MIB, 0.02),
    "llama_gpu_memory_free_bytes": (64 * MIB, 0.02),
    "llama_gpu_temperature_celsius": (3, 0),
    "llama_gpu_power_watts": (15, 0.2),
    "llama_gpu_power_limit_watts": (0.01, 0),
    "llama_gpu_clock_hertz": (1e6, 0.15),
    "llama_gpu_pcie_received_bytes_per_second": (1e9, 1),  # of another 20 ms
    "llama_gpu_pcie_transmitted_bytes_per_second": (1e9, 1),
    "llama_gpu_throttle_active": (0, 0),
    "llama_gpu_ecc_errors_total": (0, 0),
    "llama_gpu_processes": (0, 0),
}
"""How far apart two looks may be: absolutely, and as a share of nvidia-smi's value."""


class Row(NamedTuple):
    """One value: ours before and after, nvidia-smi's between, and what comes of it: ok, or in capitals."""

    key: Key
    before: float | None
    theirs: float | None
    after: float | None
    verdict: str


def read_smi(xml: str) -> dict[Key, float]:
    """Every value that nvidia-smi gives and we may have too; what it calls N/A is not in it."""
    found: dict[Key, float] = {}
    tree = ET.fromstring(xml)  # noqa: S314 -- of a program that we started
    driver = tree.findtext("driver_version", "")
    for gpu in tree.iter("gpu"):
        uuid = gpu.findtext("uuid", "")
        found["llama_gpu_info", uuid, "nvidia", gpu.findtext("product_name", ""), driver] = 1
        for (metric, *labels), paths in ELEMENTS.items():
            values = [value for path in paths if (value := _number(gpu.findtext(path))) is not None]
            found.update({(metric, uuid, *labels): value for value in values[:1]})
        for element in (*gpu.findall("clocks_event_reasons/*"), *gpu.findall("clocks_throttle_reasons/*")):
            if (reason := REASON.fullmatch(element.tag)) and element.text in {"Active", "Not Active"}:
                found["llama_gpu_throttle_active", uuid, reason[1]] = element.text == "Active"
        for kind, tag in ECC.items():
            counts = [_number(it.text) for it in gpu.findall("ecc_errors/volatile/*") if tag.fullmatch(it.tag)]
            if known := [count for count in counts if count is not None]:
                found["llama_gpu_ecc_errors_total", uuid, kind] = sum(known)
        if gpu.findtext("mig_mode/current_mig") != "Enabled":
            found["llama_gpu_processes", uuid] = len({it.text for it in gpu.findall("processes/process_info/pid")})
    return found


def compare(before: Mapping[Key, float], theirs: Mapping[Key, float], after: Mapping[Key, float]) -> list[Row]:
    """A row for every value that one of the two has, of those that nvidia-smi can have."""
    keys = sorted({key for key in (*before, *after, *theirs) if key[0] in TOLERANCES})
    rows = (_row(key, before.get(key), theirs.get(key), after.get(key)) for key in keys)
    # nvidia-smi lists reasons as not active that the GPU cannot tell at all.
    return [
        row for row in rows if row.verdict != "MISSING HERE" or row.key[0] != "llama_gpu_throttle_active" or row.theirs
    ]


def _row(key: Key, before: float | None, theirs: float | None, after: float | None) -> Row:
    ours = [value for value in (before, after) if value is not None]
    if theirs is None:
        verdict = "ONLY HERE"
    elif not ours:
        verdict = "MISSING HERE"
    else:
        absolute, share = TOLERANCES[key[0]]
        tolerance = absolute + share * abs(theirs)
        verdict = "ok" if min(ours) - tolerance <= theirs <= max(ours) + tolerance else "DIFFERS"
    return Row(key, before, theirs, after, verdict)


def _number(text: str | None) -> float | None:
    parts = re.fullmatch(r"([\d.]+) ?(\S*)", (text or "").strip())
    return float(parts[1]) * UNITS[parts[2]] if parts and parts[2] in UNITS else None


async def look(collector: GpuNvidiaCollector) -> dict[Key, float]:
    """Our values now, of whole GPUs. Raise what the collector raises."""
    found = {}
    for family in await collector.collect(time.monotonic() + DEADLINE):
        for sample in family.samples:
            labels = dict(sample.labels)
            if ":" not in labels.pop("gpu", ""):
                found[family.name, labels.pop("uuid", ""), *labels.values()] = float(sample.value)
    return found


async def check() -> int:
    """Compare and print; the exit code."""
    collector = GpuNvidiaCollector(dict, Border(), required=True, every=EVERY)
    try:
        gpus = sum(key[0] == "llama_gpu_info" for key in await look(collector))
        await asyncio.sleep((gpus + 2) * 2 * EVERY)
        before = await look(collector)
        process = await asyncio.to_thread(subprocess.run, COMMAND, capture_output=True, text=True, check=True)
        after = await look(collector)
    except (OSError, NoData, Partial, subprocess.CalledProcessError) as error:
        print(f"nothing was compared: {error}")
        return 1
    rows = compare(before, read_smi(process.stdout), after)
    print(f"{'value':<72}{'before':>13}{'nvidia-smi':>13}{'after':>13}  verdict")
    for row in rows:
        name = " ".join((row.key[0], row.key[1][:12], *row.key[2:]))
        numbers = "".join(f"{'-' if value is None else f'{value:.6g}':>13}" for value in row[1:4])
        print(f"{name:<72}{numbers}  {row.verdict}")
    bad = sum(row.verdict != "ok" for row in rows)
    print(f"{len(rows)} values of {gpus} GPUs compared, {bad} do not agree")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(asyncio.run(check()))
