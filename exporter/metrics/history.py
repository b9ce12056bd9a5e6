"""The last quarter of an hour in a few numbers, for the page: what `/metrics` says, sampled every five seconds."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable

import msgspec

from exporter.gpu.owners import OTHER
from exporter.metrics.definitions import gpu, host, usage
from exporter.metrics.families import Family, Metric
from exporter.metrics.scrape import Scraper
from exporter.tasks import Border

INTERVAL = 5.0
SPAN = 15 * 60.0
SLICE = ":"
"""The index of a MIG slice contains it: its memory is its card's, and the card has a row of its own."""
COLLECTORS = frozenset({"usage", "requests", "host", "gpu_nvidia", "gpu_amd"})


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """The values of one moment over all models and all GPUs; None is unknown.

    `time` is Unix time, utilizations are ratios (for GPUs the mean), memory is in bytes.
    """

    time: float
    prompt_tokens_per_second: float | None
    generation_tokens_per_second: float | None
    requests_running: float | None
    requests_waiting: float | None
    cpu_utilization: float | None
    memory_used: float | None
    memory_total: float | None
    gpus: int
    gpu_utilization: float | None
    gpu_memory_used: float | None
    gpu_memory_total: float | None
    gpu_power_watts: float | None
    model_memory: dict[str, float]
    """GPU memory by model."""


class History:
    """Scrapes the collectors of `scraper` and keeps `points`; each scrape takes `timeout` seconds at most."""

    def __init__(self, scraper: Scraper, timeout: float, border: Border) -> None:
        self._scraper = scraper
        self._border = border
        self.timeout = timeout
        self._cpu: dict[str, float] = {}
        self.points: deque[Point] = deque(maxlen=int(SPAN / INTERVAL))

    async def run(self) -> None:
        """Add points until cancelled."""
        await self._border.keep_running("history", self._add_points)

    async def _add_points(self) -> None:
        while True:
            await self.add_point()
            await asyncio.sleep(INTERVAL)

    async def add_point(self) -> None:
        """Scrape, and add a point."""
        outcomes = await self._scraper.scrape(self.timeout, COLLECTORS)
        self.points.append(self._point([family for outcome in outcomes for family in outcome.families]))

    def _point(self, families: Iterable[Family]) -> Point:
        found: dict[str, list[tuple[dict[str, str], float]]] = {}
        for family in families:
            values = found.setdefault(family.name, [])
            labelled = [(dict(sample.labels), sample.value) for sample in family.samples if not sample.suffix]
            values += [(labels, value) for labels, value in labelled if SLICE not in labels.get("gpu", "")]

        def total(metric: Metric, **labels: str) -> float | None:
            values = [value for own, value in found.get(metric.name, ()) if labels.items() <= own.items()]
            return sum(values) if values else None

        utilization = [value for _, value in found.get(gpu.UTILIZATION.name, ())]
        model_memory: dict[str, float] = {}
        for labels, value in found.get(gpu.MODEL_MEMORY.name, ()):
            if (model := labels["model"]) not in ("", OTHER):
                model_memory[model] = model_memory.get(model, 0) + value
        return Point(
            time=round(time.time(), 3),
            prompt_tokens_per_second=total(usage.TOKENS_PER_SECOND, phase="prompt"),
            generation_tokens_per_second=total(usage.TOKENS_PER_SECOND, phase="generation"),
            requests_running=total(usage.REQUESTS_RUNNING),
            requests_waiting=total(usage.REQUESTS_WAITING),
            cpu_utilization=self._cpu_utilization(found.get(host.CPU_SECONDS.name, [])),
            memory_used=total(host.MEMORY_USED),
            memory_total=total(host.MEMORY_TOTAL),
            gpus=len(found.get(gpu.INFO.name, ())),
            gpu_utilization=sum(utilization) / len(utilization) if utilization else None,
            gpu_memory_used=total(gpu.MEMORY_USED),
            gpu_memory_total=total(gpu.MEMORY_TOTAL),
            gpu_power_watts=total(gpu.POWER),
            model_memory=model_memory,
        )

    def _cpu_utilization(self, seconds: Iterable[tuple[dict[str, str], float]]) -> float | None:
        """Return the share of all CPUs' time since the last point that was not idle (waiting for a disk is idle)."""
        now: dict[str, float] = {}
        for labels, value in seconds:
            now[labels["mode"]] = now.get(labels["mode"], 0) + value
        before, self._cpu = self._cpu, now
        spent = {mode: value - before[mode] for mode, value in now.items() if mode in before}
        whole = sum(spent.values())
        return None if whole <= 0 else 1 - (spent.get("idle", 0) + spent.get("iowait", 0)) / whole
