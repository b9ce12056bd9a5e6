"""The shape that all collectors share."""

from typing import Protocol

from exporter.catalog.metric import Family, Metric


class NoData(Exception):  # noqa: N818 -- it is not an error
    """There is nothing of this kind here (no GPU, no server running): no samples, no failure, no log line."""


class Collector(Protocol):
    """A source of families.

    `metrics` declares what `collect` may yield (none for a source of foreign families). `collect` reads, never changes
    anything, and may raise: the scrape turns an exception into `llama_exporter_collector_success 0` and a log line.
    """

    @property
    def name(self) -> str:
        """Value of the `collector` label."""
        ...

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What `collect` may yield."""
        ...

    async def collect(self) -> list[Family]:
        """Read the source now."""
        ...
