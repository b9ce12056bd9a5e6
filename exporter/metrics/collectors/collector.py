"""The shape that all collectors share, and how they read what may be slow."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, Protocol, TypeVar

from exporter.llama.instance import Instance
from exporter.metrics.families import Family, Metric

T = TypeVar("T")


class NoData(Exception):  # noqa: N818 -- it is not an error
    """There is nothing of this kind here (no GPU, no server running): no samples, no failure, no log line."""


class Partial(Exception):  # noqa: N818 -- half of it is a result
    """A part could not be read: `families` has the rest, the message says what is missing and why."""

    def __init__(self, families: list[Family], error: str) -> None:
        super().__init__(error)
        self.families = families


class Collector(Protocol):
    """A source of families.

    `metrics` declares what `collect` may return (none for a source of foreign families).
    """

    @property
    def name(self) -> str:
        """Value of the `collector` label."""
        ...

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What `collect` may return."""
        ...

    async def collect(self, deadline: float, /) -> list[Family]:
        """Read the source now, and change nothing. The result counts until `deadline`, a time of the event loop.

        Raise `NoData` or `Partial`. Any other exception fails this collector alone: its
        `llama_exporter_collector_success` is 0, and the log has the reason.
        """
        ...


class SharedRead(Generic[T]):
    """Shares one running read among the scrapes that come meanwhile.

    A source that hangs (a driver, a dead mount) therefore holds one thread, not one more with each scrape.
    """

    def __init__(self) -> None:
        self._running: asyncio.Task[T] | None = None

    async def result(self, read: Callable[[], Awaitable[T]], deadline: float) -> T:
        """Return the result of the running read, or else of a new one. Raise `TimeoutError` at the deadline."""
        if self._running is None or self._running.done():
            self._running = asyncio.ensure_future(read())
            # Maybe no scrape waits for it any more: then nobody else takes notice of how it ended.
            self._running.add_done_callback(lambda task: task.cancelled() or task.exception())
        running = self._running
        done, _ = await asyncio.wait({running}, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
        if not done:
            raise TimeoutError
        return running.result()

    async def in_thread(self, read: Callable[[], T], deadline: float) -> T:
        """Do the same with a read that blocks, in a thread."""
        return await self.result(lambda: asyncio.to_thread(read), deadline)


async def gather(
    instances: Mapping[str, Instance], read: Callable[[Instance], Awaitable[T]], deadline: float
) -> tuple[dict[str, T], str]:
    """Read all model processes at once; return the results by model, and what the others answered ("" if none).

    That a process ends meanwhile is no error.
    """

    async def bounded(instance: Instance) -> T | Exception:
        try:
            async with asyncio.timeout_at(deadline):
                return await read(instance)
        except TimeoutError:
            return TimeoutError("no answer in time")
        except Exception as error:  # noqa: BLE001 -- one process fails alone
            return error

    asked = dict(instances)
    results = dict(zip(asked, await asyncio.gather(*map(bounded, asked.values())), strict=True))
    errors = [
        f"{model}: {str(result) or repr(result)}"
        for model, result in results.items()
        if isinstance(result, Exception) and not asked[model].gone
    ]
    found = {model: result for model, result in results.items() if not isinstance(result, Exception)}
    return found, "; ".join(errors)
