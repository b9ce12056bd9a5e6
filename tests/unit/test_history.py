"""Points of the history from what collectors give."""

import asyncio
from collections.abc import Mapping

import pytest

from exporter import tasks
from exporter.metrics.definitions import gpu, host, usage
from exporter.metrics.families import Family, Metric, Sample
from exporter.metrics.history import INTERVAL, SPAN, History
from exporter.metrics.scrape import Scraper
from exporter.tasks import Border
from tests.support import eventually


class Given:
    """A collector that gives what it is told to."""

    def __init__(self, name: str, *metrics: Metric) -> None:
        self.name = name
        self.metrics = metrics
        self.values: dict[Metric, Mapping[tuple[str, ...], float]] = {}

    async def collect(self, _deadline: float) -> list[Family]:
        return [metric.family(values) for metric, values in self.values.items()]


async def test_models_and_gpus_are_added_up() -> None:
    models, cards = Given("usage"), Given("gpu_nvidia")
    history = History(Scraper([models, cards]), 1, Border())
    models.values = {
        usage.TOKENS_PER_SECOND: {("a", "prompt"): 10, ("a", "generation"): 1, ("b", "generation"): 2},
        usage.REQUESTS_RUNNING: {("a",): 1, ("b",): 0},
    }
    one, two, part = ("0", "GPU-a"), ("1", "GPU-b"), ("1:0", "MIG-c")
    cards.values = {
        gpu.INFO: {(*one, "nvidia", "x", "1"): 1, (*two, "nvidia", "x", "1"): 1, (*part, "nvidia", "x", "1"): 1},
        gpu.UTILIZATION: {one: 0.5, two: 1.0},
        gpu.MEMORY_USED: {one: 100, two: 50, part: 50},
        gpu.MODEL_MEMORY: {(*one, "a"): 60, (*two, "a"): 20, (*one, "other"): 5, (*one, ""): 3},
    }
    await history.add_point()
    (point,) = history.points
    assert (point.prompt_tokens_per_second, point.generation_tokens_per_second) == (10, 3)
    assert (point.requests_running, point.requests_waiting) == (1, None)
    assert (point.gpus, point.gpu_utilization, point.gpu_memory_used, point.gpu_memory_total) == (2, 0.75, 150, None)
    assert point.model_memory == {"a": 80}
    models.values = {}
    await history.add_point()
    assert history.points[-1].generation_tokens_per_second is None


async def test_cpu_is_what_was_not_idle_since_the_last_point() -> None:
    machine = Given("host")
    history = History(Scraper([machine]), 1, Border())
    for user, idle, waiting in ((10, 100, 5), (13, 105, 7)):
        machine.values = {host.CPU_SECONDS: {("user",): user, ("idle",): idle, ("iowait",): waiting}}
        await history.add_point()
    await history.add_point()
    assert [point.cpu_utilization for point in history.points] == [None, pytest.approx(0.3), None]


async def test_a_quarter_of_an_hour_is_kept() -> None:
    history = History(Scraper([]), 1, Border())
    for _ in range(int(SPAN / INTERVAL) + 5):
        await history.add_point()
    assert len(history.points) == SPAN / INTERVAL


class BadOnce(Given):
    """Gives a family without labels at first, which is a bug."""

    async def collect(self, deadline: float) -> list[Family]:
        if self.values:
            return await super().collect(deadline)
        self.values = {gpu.MODEL_MEMORY: {("0", "GPU-a", "m"): 1}}
        return [Family(gpu.MODEL_MEMORY.name, "gauge", "", [Sample("", (), 1)])]


async def test_a_point_that_fails_is_counted_and_the_next_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "RETRY_AFTER", 0)
    border = Border()
    history = History(Scraper([BadOnce("gpu_nvidia")]), 1, border)
    running = asyncio.create_task(history.run())
    await eventually(lambda: history.points)
    running.cancel()
    assert border.failures == {"history": 1}
    assert history.points[0].model_memory == {"m": 1}
