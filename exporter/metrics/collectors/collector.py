"""The shape that all collectors share."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from exporter.llama.instance import Instance
from exporter.metrics.families import Family, Metric


class NoData(Exception):  # noqa: N818 -- it is not an error
    """There is nothing of this kind here (no GPU, no server running): no samples, no failure, no log line."""


class Partial(Exception):  # noqa: N818 -- half of it is a result
    """Some of what there should be could not be read: `families` are what could, the message says what could not."""

    def __init__(self, families: list[Family], error: str) -> None:
        super().__init__(error)
        self.families = families


async def gather(
    instances: Mapping[str, Instance], read: Callable[[Instance], Awaitable[list[Family]]]
) -> tuple[list[Family], str]:
    """Read all processes at once: the families of those that could be read, and what the others said ("" if none).

    That one ends while it is asked is no error.
    """
    asked = dict(instances)
    results = await asyncio.gather(*(read(instance) for instance in asked.values()), return_exceptions=True)
    families = [family for result in results if isinstance(result, list) for family in result]
    errors = [
        f"{model}: {str(result) or repr(result)}"
        for (model, instance), result in zip(asked.items(), results, strict=True)
        if isinstance(result, BaseException) and not instance.gone
    ]
    return families, "; ".join(errors)


class Collector(Protocol):
    """A source of families.

    `metrics` declares what `collect` may yield (none for a source of foreign families). `collect` reads, never changes
    anything, and may raise: the scrape turns an exception into `llama_exporter_collector_success 0` and a log line.
    `NoData` and `Partial` say more.
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
