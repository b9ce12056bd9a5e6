"""A scrape over collectors that do well, half well, and not at all."""

import asyncio
import threading

import pytest

from exporter.metrics.collectors.collector import NoData, Partial, SharedRead
from exporter.metrics.families import Family, Metric
from exporter.metrics.scrape import MARGIN, Scraper, families_of
from tests.support import eventually, soon

VALUE = Metric("value", "gauge", "A value.", ("of",))


class Fixed:
    """Gives one sample, or raises."""

    metrics = (VALUE,)

    def __init__(self, name: str, failure: Exception | None = None) -> None:
        self.name = name
        self._failure = failure

    async def collect(self, _deadline: float) -> list[Family]:
        if self._failure is not None:
            raise self._failure
        return [VALUE.one(1, self.name)]


class Late(Fixed):
    async def collect(self, _deadline: float) -> list[Family]:
        await asyncio.Event().wait()
        return []


async def test_each_collector_fails_alone_and_a_partial_one_is_served() -> None:
    scraper = Scraper(
        [
            Fixed("good"),
            Fixed("none", NoData()),
            Fixed("half", Partial([VALUE.one(2, "half")], "GPU 1: lost")),
            Fixed("bad", OSError("no such file")),
            Late("late"),
        ]
    )
    outcomes = await scraper.scrape(0.05)
    assert {outcome.collector: outcome.error for outcome in outcomes} == {
        "good": None,
        "none": None,
        "half": "GPU 1: lost",
        "bad": "no such file",
        "late": "missed the deadline of 0.1 s",
    }
    families = families_of(outcomes)
    served = [sample for family in families if family.name == "value" for sample in family.samples]
    assert [(dict(sample.labels)["of"], sample.value) for sample in served] == [("good", 1), ("half", 2)]
    (success,) = (family for family in families if family.name == "llama_exporter_collector_success")
    assert {dict(sample.labels)["collector"]: sample.value for sample in success.samples} == {
        "good": 1,
        "none": 1,
        "half": 0,
        "bad": 0,
        "late": 0,
    }


class OnTime(Fixed):
    """Gives what it has at its deadline."""

    async def collect(self, deadline: float) -> list[Family]:
        self.deadline = deadline
        if deadline < soon(10):
            await asyncio.sleep(deadline - soon(0))
        raise Partial([VALUE.one(1, self.name)], "the rest is late")


async def test_what_a_collector_has_at_its_deadline_goes_out() -> None:
    collector = OnTime("on time")
    (outcome,) = await Scraper([collector]).scrape(0.4)
    assert (outcome.error, len(outcome.families)) == ("the rest is late", 1)
    begun = soon(0)
    await Scraper([collector]).scrape(60)
    assert begun + 60 - MARGIN <= collector.deadline <= soon(60 - MARGIN)


async def test_reads_that_come_together_share_one_thread() -> None:
    reads, hanging, threads = SharedRead[int](), threading.Event(), []

    def read() -> int:
        threads.append(threading.current_thread())
        assert hanging.wait(20)
        return len(threads)

    for _ in range(3):
        with pytest.raises(TimeoutError):
            await reads.in_thread(read, soon(0.02))
    together = asyncio.gather(*(reads.in_thread(read, soon()) for _ in range(5)))
    await eventually(lambda: threads)
    hanging.set()
    assert await together == [1] * 5
    assert await reads.in_thread(read, soon()) == 2


async def test_a_read_that_fails_fails_for_all_that_share_it_and_not_for_the_next() -> None:
    reads = SharedRead[int]()

    def fail() -> int:
        raise OSError("no such file")

    results = await asyncio.gather(*(reads.in_thread(fail, soon()) for _ in range(2)), return_exceptions=True)
    assert [str(result) for result in results] == ["no such file"] * 2
    assert await reads.in_thread(lambda: 1, soon()) == 1
