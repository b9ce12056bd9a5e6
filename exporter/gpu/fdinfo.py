"""Memory that processes hold on GPUs, as each of their open files of a GPU tells.

Format: the kernel's Documentation/gpu/drm-usage-stats.rst. Drivers name regions as they like: amdgpu has vram, gtt and
cpu, xe vram0, gtt and system, i915 local0 and system0.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from exporter.gpu.sysfs import Folder

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
