"""GPUs of AMD, Intel and others, as the kernel shows them: sysfs and fdinfo, without ROCm.

Files, most of which only amdgpu has: the kernel's Documentation/gpu/amdgpu/thermal.rst and driver-misc.rst; of sensors,
its Documentation/hwmon/sysfs-interface.rst.
"""

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from exporter.gpu.amd import asleep, energy, engine_times, held_memory, monitor, power
from exporter.gpu.drm import Card, Folder, find_cards
from exporter.gpu.energy import PowerIntegral
from exporter.gpu.owners import descendants
from exporter.metrics.collectors.collector import NoData, Partial
from exporter.metrics.collectors.gpu import FamilyBuilder, GpuCollector
from exporter.metrics.definitions import gpu as catalog
from exporter.metrics.families import Family
from exporter.tasks import Border

SENSORS = {"mem": "memory", "vram": "memory"}
"""Labels of temperatures for which the metrics have another word."""
CLOCKS = {"sclk": "graphics", "mclk": "memory"}
FULL_PWM = 255
FIND_AGAIN = 30.0
"""Seconds between searches for new GPUs."""


class GpuAmdCollector(GpuCollector):
    """Reads sysfs and fdinfo. `required` makes it a failure that there is no GPU. `root` is where they are mounted."""

    name = "gpu_amd"

    def __init__(
        self,
        processes: Callable[[], Mapping[str, int]],
        border: Border,
        *,
        required: bool = False,
        root: Path = Path("/"),
        every: float = 1.0,
        find_again: float = FIND_AGAIN,
    ) -> None:
        gpus = DrmGpus(required=required, root=root, find_again=find_again)
        super().__init__(gpus, processes, border, every=every)


class DrmGpus:
    """All GPUs of DRM but those of NVIDIA's own driver."""

    def __init__(self, *, required: bool, root: Path, find_again: float) -> None:
        self._required = required
        self._root = root
        self._find_again = find_again
        self._found_at = float("-inf")
        self._cards: list[Card] = []
        self._known: dict[str, Card] = {}
        self._integral = PowerIntegral()
        self._work: dict[tuple[str, str | None, str], int] = {}

    def look(self, processes: Mapping[str, int]) -> list[Family]:
        """Read every GPU; one that fails costs the others nothing."""
        self._find()
        if not self._known:
            if self._required:
                raise OSError(
                    "metrics.collectors.gpu_amd is true, but /sys/class/drm shows no GPU: load its driver (amdgpu, xe, "
                    "i915), or give the container /sys"
                )
            raise NoData
        samples = FamilyBuilder()
        problems = [
            f"GPU {card.gpu} of {card.vendor} ({uuid}) is gone; if it was taken out on purpose, restart the exporter"
            for uuid, card in self._known.items()
            if card not in self._cards
        ]
        for vendor in sorted({card.vendor for card in self._known.values()}):
            samples.add(catalog.GPUS, sum(card.vendor == vendor for card in self._cards), vendor)
        for card in self._cards:
            failures = _read_card(card, samples)
            problems += [f"GPU {card.gpu} of {card.vendor} ({card.uuid}): {failure}" for failure in failures]
            samples.add(catalog.ENERGY, self._integral.joules.get(card.uuid), card.gpu, card.uuid)
        held = held_memory(descendants(processes, self._root), self._root)
        for card in self._cards:
            for (slot, model), memory in held.items():
                if slot == card.slot:
                    samples.add(catalog.MODEL_MEMORY, memory.memory, card.gpu, card.uuid, model)
                    samples.add(catalog.MODEL_GTT, memory.gtt, card.gpu, card.uuid, model)
        if problems:
            raise Partial(samples.families(), "; ".join(problems))
        return samples.families()

    def tick(self, processes: Mapping[str, int]) -> set[str]:
        """Add up the power of GPUs that do not count their energy, and compare the work of clients."""
        for card in self._cards:
            hwmon = monitor(card)
            if hwmon is None or asleep(Folder(card.device)) or energy(hwmon) is not None:
                continue
            self._integral.add(card.uuid, power(hwmon), time.monotonic())
        before, self._work = self._work, engine_times(descendants(processes, self._root), self._root)
        return {client[-1] for client, done in self._work.items() if done > before.get(client, done)}

    def _find(self) -> None:
        """Find GPUs: check each time that they are there, and search for others now and then."""
        there = all(Path(card.device).exists() for card in self._cards)
        if there and time.monotonic() - self._found_at < self._find_again:
            return
        self._cards, self._found_at = find_cards(self._root), time.monotonic()
        self._known |= {card.uuid: card for card in self._cards}


def _read_card(card: Card, samples: FamilyBuilder) -> list[str]:
    """Add all values of the GPU; return what went wrong with single ones."""
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


def _read_monitor(hwmon: Folder, which: tuple[str, str], samples: FamilyBuilder) -> None:
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
