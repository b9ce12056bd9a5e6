"""llama-server's own metrics, passed on with a `model` label."""

from collections.abc import Callable

from exporter.catalog import exporter as catalog
from exporter.catalog.metric import Family
from exporter.collectors.collector import NoData
from exporter.llama.exposition import with_model
from exporter.llama.server import LlamaServer


class NativeCollector:
    """All of `/metrics` of the model that runs: names, HELP, TYPE and digits unchanged, unknown families too."""

    name = "native"
    metrics = (catalog.NATIVE_BAD_LINES,)

    def __init__(self, server: LlamaServer, ready: Callable[[], bool]) -> None:
        self._server = server
        self._ready = ready

    async def collect(self) -> list[Family]:
        """Ask the server, or share an answer that is younger than `share_within`."""
        if not self._ready():
            raise NoData
        facts = await self._server.who()
        if facts.mode == "router":  # a router has no metrics of its own
            raise NoData
        page = await self._server.native()
        return [*with_model(page.families, facts.model), catalog.NATIVE_BAD_LINES.one(page.bad_lines)]
