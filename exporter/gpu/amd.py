"""One look at a GPU through sysfs, most of which only amdgpu has.

Files: the kernel's Documentation/gpu/amdgpu/thermal.rst and driver-misc.rst; of sensors, its
Documentation/hwmon/sysfs-interface.rst.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from exporter.gpu.drm import Card, Folder
from exporter.gpu.samples import Samples
from exporter.metrics.definitions import gpu as catalog

SENSORS = {"mem": "memory", "vram": "memory"}
"""Labels of temperatures, where the schema has another word."""
CLOCKS = {"sclk": "graphics", "mclk": "memory"}
FULL_PWM = 255


def read_card(card: Card, samples: Samples) -> list[str]:
    """Add all that the GPU tells; what went wrong with single values."""
    which = card.gpu, card.uuid
    device = Folder(card.device)
    samples.add(catalog.INFO, 1, *which, card.vendor, card.name, card.driver)
    if asleep(device):
        return []
    samples.add(catalog.UTILIZATION, device.number("gpu_busy_percent", over=100), *which)
    samples.add(catalog.MEMORY_UTILIZATION, device.number("mem_busy_percent", over=100), *which)
    total, used = device.number("mem_info_vram_total"), device.number("mem_info_vram_used")
    samples.add(catalog.MEMORY_TOTAL, total, *which)
    samples.add(catalog.MEMORY_USED, used, *which)
    samples.add(catalog.MEMORY_FREE, None if total is None or used is None else total - used, *which)
    samples.add(catalog.GTT_TOTAL, device.number("mem_info_gtt_total"), *which)
    samples.add(catalog.GTT_USED, device.number("mem_info_gtt_used"), *which)
    hwmon = monitor(card)
    if hwmon is not None:
        _read_monitor(hwmon, which, samples)
        device.failures += hwmon.failures
    return device.failures


def asleep(device: Folder) -> bool:
    """Does the GPU sleep? Reading its sensors would wake it up."""
    return device.text("power/runtime_status") == "suspended"


def monitor(card: Card) -> Folder | None:
    """The folder of the GPU's sensors."""
    found = sorted(Path(card.device, "hwmon").glob("hwmon*"))
    return Folder(str(found[0])) if found else None


def power(hwmon: Folder) -> float | None:
    """Watts; chips have the average, the moment's, or both."""
    return hwmon.number("power1_average", "power1_input", over=1e6)


def energy(hwmon: Folder) -> float | None:
    """Joules since the driver was loaded: Intel's cards count them, of the whole card or else of its package."""
    return hwmon.number("energy1_input", "energy2_input", over=1e6)


def _read_monitor(hwmon: Folder, which: tuple[str, str], samples: Samples) -> None:
    samples.add(catalog.POWER, power(hwmon), *which)
    samples.add(catalog.POWER_LIMIT, hwmon.number("power1_cap", "power1_max", over=1e6), *which)
    samples.add(catalog.ENERGY, energy(hwmon), *which)
    samples.add(catalog.FAN_SPEED, _fan_speed(hwmon), *which)
    names = [
        found for file in Path(hwmon.path).iterdir() if (found := re.fullmatch(r"(temp|freq)\d+_input", file.name))
    ]
    for name in sorted(names, key=lambda found: found[0]):
        label = hwmon.text(name[0].replace("_input", "_label")) or "gpu"
        if name[1] == "temp":
            sensor = SENSORS.get(label, label)
            samples.add(catalog.TEMPERATURE, hwmon.number(name[0], over=1000), *which, sensor)
        elif label in CLOCKS:
            samples.add(catalog.CLOCK, hwmon.number(name[0]), *which, CLOCKS[label])


def _fan_speed(hwmon: Folder) -> float | None:
    speed, fastest = hwmon.number("fan1_input"), hwmon.number("fan1_max")
    if speed is not None and fastest:
        return speed / fastest
    return hwmon.number("pwm1", over=FULL_PWM)


UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20}
KEY = re.compile(r"^drm-(resident|memory|total)-(\w+):[ \t]*(\d+) ?(KiB|MiB|)$", re.MULTILINE)
PREFERENCE = ("resident", "memory", "total")
"""`memory` is the older name of `resident`; `total` counts what is swapped out too."""
LOCAL = re.compile(r"(vram|local)\d*")


class Held(NamedTuple):
    """Bytes: in the GPU's own memory, or for a GPU that has none in system memory; and in GTT beside its own."""

    memory: int
    gtt: int | None


def held_memory(processes: Mapping[int, str], root: Path) -> dict[tuple[str, str], Held]:
    """What the processes (PID to model) hold, by PCI address of the GPU (or name of its node) and model.

    A model that holds nothing, or whose files cannot be read, is not in it.
    """
    totals: dict[tuple[str, str], Held] = {}
    seen = set()
    for pid, model in processes.items():
        for node, text in _open_gpus(f"{root}/proc/{pid}"):
            held = _held(text)
            if held is None:
                continue
            gpu = _value("drm-pdev", text) or node
            # Several files may be one client, also of processes that inherited them.
            client = gpu, _value("drm-client-id", text)
            if client in seen:
                continue
            seen.add(client)
            before = totals.get((gpu, model))
            totals[gpu, model] = _sum(before, held) if before else held
    return totals


def _open_gpus(process: str) -> list[tuple[str, str]]:
    """Name of the node and text, for each open file of a GPU."""
    found = []
    folder = Folder(f"{process}/fdinfo")
    # It may end meanwhile, or belong to another user: what was found until then is true.
    with suppress(OSError):
        for number in os.listdir(f"{process}/fd"):  # noqa: PTH208 -- Path.iterdir makes a Path of each
            target = os.readlink(f"{process}/fd/{number}")  # noqa: PTH115
            if target.startswith("/dev/dri/"):
                found.append((target.removeprefix("/dev/dri/"), folder.text(number) or ""))
    return found


def _held(text: str) -> Held | None:
    regions: dict[str, dict[str, int]] = {}
    for kind, region, number, unit in KEY.findall(text):
        regions.setdefault(region, {})[kind] = int(number) * UNITS[unit]
    sizes = {region: next(kinds[kind] for kind in PREFERENCE if kind in kinds) for region, kinds in regions.items()}
    if not sizes:
        return None  # a driver that does not tell
    local = [size for region, size in sizes.items() if LOCAL.fullmatch(region)]
    return Held(sum(local), sizes.get("gtt")) if local else Held(sum(sizes.values()), None)


def _sum(one: Held, other: Held) -> Held:
    gtt = None if one.gtt is None or other.gtt is None else one.gtt + other.gtt
    return Held(one.memory + other.memory, gtt)


def _value(key: str, text: str) -> str | None:
    found = re.search(rf"^{key}:[ \t]*(\S+)$", text, re.MULTILINE)
    return found[1] if found else None
