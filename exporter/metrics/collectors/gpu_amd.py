"""GPUs of AMD, and what those of Intel and others tell in the same way: through the kernel alone, without ROCm."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from exporter.gpu.amd import asleep, energy, held_memory, monitor, power, read_card
from exporter.gpu.drm import Card, Folder, find_cards
from exporter.gpu.energy import PowerIntegral
from exporter.gpu.owners import descendants
from exporter.gpu.samples import Samples
from exporter.metrics.collectors.collector import NoData, Partial
from exporter.metrics.collectors.gpu import GpuCollector
from exporter.metrics.definitions import gpu as catalog
from exporter.metrics.families import Family

FIND_AGAIN = 30.0
"""Seconds between looks for GPUs that came."""


class GpuAmdCollector(GpuCollector):
    """Reads sysfs and fdinfo. `required` makes it a failure that there is no GPU. `root` is where they are mounted."""

    name = "gpu_amd"

    def __init__(
        self,
        processes: Callable[[], Mapping[str, int]],
        *,
        required: bool = False,
        root: Path = Path("/"),
        every: float = 1.0,
        find_again: float = FIND_AGAIN,
    ) -> None:
        super().__init__(DrmGpus(required=required, root=root, find_again=find_again), processes, every=every)


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

    def look(self, processes: Mapping[str, int]) -> list[Family]:
        """Read every GPU; one that fails leaves the others in place."""
        self._find()
        if not self._known:
            if self._required:
                raise OSError(
                    "metrics.collectors.gpu_amd is true, but /sys/class/drm shows no GPU: load its driver (amdgpu, xe, "
                    "i915), or give the container /sys"
                )
            raise NoData
        samples = Samples()
        problems = [
            f"GPU {card.gpu} of {card.vendor} ({uuid}) is gone; if it was taken out on purpose, restart the exporter"
            for uuid, card in self._known.items()
            if card not in self._cards
        ]
        for vendor in sorted({card.vendor for card in self._known.values()}):
            samples.add(catalog.GPUS, sum(card.vendor == vendor for card in self._cards), vendor)
        for card in self._cards:
            failures = read_card(card, samples)
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

    def tick(self, processes: Mapping[str, int]) -> None:
        """Add up the power of GPUs that do not count their energy."""
        del processes
        for card in self._cards:
            hwmon = monitor(card)
            if hwmon is None or asleep(Folder(card.device)) or energy(hwmon) is not None:
                continue
            self._integral.add(card.uuid, power(hwmon), time.monotonic())

    def _find(self) -> None:
        """Find GPUs; what they are is read anew only now and then, whether they are there each time."""
        there = all(Path(card.device).exists() for card in self._cards)
        if there and time.monotonic() - self._found_at < self._find_again:
            return
        self._cards, self._found_at = find_cards(self._root), time.monotonic()
        self._known |= {card.uuid: card for card in self._cards}
