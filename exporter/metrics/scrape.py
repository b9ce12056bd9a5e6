"""One scrape: all collectors at once under one deadline; what fails or is late is left out, and the page says so."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from loguru import logger

from exporter.logs.own import FailureLog
from exporter.metrics.collectors.collector import Collector, NoData, Partial
from exporter.metrics.definitions import exporter as catalog
from exporter.metrics.families import Family

MARGIN = 0.2
"""Seconds from the collectors' deadline to the end of the scrape, in which what they have by then still goes out."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The families of one collector, the seconds it took, and why it failed if it did."""

    collector: str
    families: list[Family]
    seconds: float
    error: str | None


class Scraper:
    """Runs the collectors. Failures are logged when they begin and when they end, not at every scrape."""

    def __init__(self, collectors: Sequence[Collector], failures: FailureLog | None = None) -> None:
        self._collectors = collectors
        self._failures = failures or FailureLog()

    @property
    def names(self) -> list[str]:
        """Names that `only` of `scrape` may have."""
        return [collector.name for collector in self._collectors]

    async def scrape(self, seconds: float, only: frozenset[str] = frozenset()) -> list[Outcome]:
        """Return the outcomes in the order of the collectors, after `seconds` at the latest."""
        chosen = [collector for collector in self._collectors if not only or collector.name in only]
        return list(await asyncio.gather(*(self._run(collector, seconds) for collector in chosen)))

    async def _run(self, collector: Collector, seconds: float) -> Outcome:
        begun = time.perf_counter()
        end = asyncio.get_running_loop().time() + seconds
        families: list[Family] = []
        error = None
        try:
            async with asyncio.timeout_at(end):
                families = await collector.collect(end - min(MARGIN, seconds / 4))
        except NoData:
            logger.debug("collector {} has nothing here", collector.name)
        except Partial as part:
            families, error = part.families, str(part)
        except TimeoutError:
            error = f"missed the deadline of {seconds:.1f} s"
        except Exception as failure:  # noqa: BLE001 -- the border of a collector: it fails alone
            error = str(failure) or repr(failure)
        self._failures.report(f"collector {collector.name}", error)
        return Outcome(collector.name, families, time.perf_counter() - begun, error)


def families_of(outcomes: Sequence[Outcome]) -> list[Family]:
    """Return all families of a scrape, those about the scrape itself last."""
    return [
        *(family for outcome in outcomes for family in outcome.families),
        catalog.COLLECTOR_DURATION.family(((outcome.collector,), outcome.seconds) for outcome in outcomes),
        catalog.COLLECTOR_SUCCESS.family(((outcome.collector,), outcome.error is None) for outcome in outcomes),
    ]
