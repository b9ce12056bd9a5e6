"""A scrape over collectors that do well, half well, and not at all."""

import asyncio

from exporter.metrics.collectors.collector import NoData, Partial
from exporter.metrics.families import Family, Metric
from exporter.metrics.scrape import Scraper, families_of

VALUE = Metric("value", "gauge", "A value.", ("of",))


class Fixed:
    """Gives one sample, or raises."""

    metrics = (VALUE,)

    def __init__(self, name: str, failure: Exception | None = None) -> None:
        self.name = name
        self._failure = failure

    async def collect(self) -> list[Family]:
        if self._failure is not None:
            raise self._failure
        return [VALUE.one(1, self.name)]


class Late(Fixed):
    async def collect(self) -> list[Family]:
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
    outcomes = await scraper.scrape(deadline=0.05)
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
