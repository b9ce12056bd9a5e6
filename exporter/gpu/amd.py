"""Power of a GPU as sysfs shows it, and what processes hold and use of it as `/proc/PID/fdinfo` does.

Files: the kernel's Documentation/hwmon/sysfs-interface.rst and Documentation/gpu/drm-usage-stats.rst.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from exporter.gpu.drm import Card, Folder

UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20}
KEY = re.compile(r"^drm-(resident|memory|total)-(\w+):[ \t]*(\d+) ?(KiB|MiB|)$", re.MULTILINE)
PREFERENCE = ("resident", "memory", "total")
"""`memory` is the older name of `resident`; `total` counts what is swapped out too."""
ENGINE = re.compile(r"^drm-(?:engine|cycles)-[\w-]+:[ \t]*(\d+)", re.MULTILINE)
LOCAL = re.compile(r"(vram|local)\d*")


def asleep(device: Folder) -> bool:
    """Return whether the GPU sleeps. Reading its sensors would wake it up."""
    return device.text("power/runtime_status") == "suspended"


def monitor(card: Card) -> Folder | None:
    """Return the folder of the GPU's sensors."""
    found = sorted(Path(card.device, "hwmon").glob("hwmon*"))
    return Folder(str(found[0])) if found else None


def power(hwmon: Folder) -> float | None:
    """Return watts. Chips have the average, the current value, or both."""
    return hwmon.number("power1_average", "power1_input", over=1e6)


def energy(hwmon: Folder) -> float | None:
    """Return joules since the driver was loaded: Intel's cards count them, of the whole card or else of its package."""
    return hwmon.number("energy1_input", "energy2_input", over=1e6)


class Held(NamedTuple):
    """Bytes: in the GPU's own memory, or for a GPU that has none in system memory; and in GTT beside its own."""

    memory: int
    gtt: int | None


def held_memory(processes: Mapping[int, str], root: Path) -> dict[tuple[str, str], Held]:
    """Return what the processes (PID to model) hold, by PCI address of the GPU (or name of its node) and model.

    A model that holds nothing, or whose files cannot be read, is not in it.
    """
    totals: dict[tuple[str, str], Held] = {}
    for (gpu, _), model, text in _clients(processes, root):
        if (held := _held(text)) is not None:
            before = totals.get((gpu, model))
            totals[gpu, model] = _sum(before, held) if before else held
    return totals


def engine_times(processes: Mapping[int, str], root: Path) -> dict[tuple[str, str | None, str], int]:
    """Return the work that GPUs have done by GPU, client and model: nanoseconds, or cycles with the driver xe."""
    return {(*client, model): sum(map(int, ENGINE.findall(text))) for client, model, text in _clients(processes, root)}


def _clients(processes: Mapping[int, str], root: Path) -> Iterator[tuple[tuple[str, str | None], str, str]]:
    """Yield GPU and number of each client, its model, and its text."""
    seen = set()
    for pid, model in processes.items():
        for node, text in _open_gpus(f"{root}/proc/{pid}"):
            client = _value("drm-pdev", text) or node, _value("drm-client-id", text)
            # Several files may be one client, also of processes that inherited them.
            if client not in seen and "drm-" in text:
                seen.add(client)
                yield client, model, text


def _open_gpus(process: str) -> list[tuple[str, str]]:
    """Return the name of the node and the text of each open file of a GPU."""
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
        return None  # a driver that does not report it
    local = [size for region, size in sizes.items() if LOCAL.fullmatch(region)]
    return Held(sum(local), sizes.get("gtt")) if local else Held(sum(sizes.values()), None)


def _sum(one: Held, other: Held) -> Held:
    gtt = None if one.gtt is None or other.gtt is None else one.gtt + other.gtt
    return Held(one.memory + other.memory, gtt)


def _value(key: str, text: str) -> str | None:
    found = re.search(rf"^{key}:[ \t]*(\S+)$", text, re.MULTILINE)
    return found[1] if found else None
