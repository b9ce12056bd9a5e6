"""What the server and its model are, as the server says of itself."""

from collections.abc import Callable
from pathlib import PurePath

from exporter.catalog import server as catalog
from exporter.catalog.metric import Family
from exporter.collectors.collector import NoData
from exporter.llama.server import LlamaServer


class ModelsCollector:
    """Build, mode and the facts of the model: asked for once in the life of a server."""

    name = "models"
    metrics = (
        catalog.INFO,
        catalog.MODEL_INFO,
        catalog.MODEL_PARAMETERS,
        catalog.MODEL_SIZE,
        catalog.MODEL_CONTEXT,
        catalog.MODEL_TRAIN_CONTEXT,
        catalog.MODEL_SLOTS,
    )

    def __init__(self, server: LlamaServer, ready: Callable[[], bool]) -> None:
        self._server = server
        self._ready = ready

    async def collect(self) -> list[Family]:
        """The facts now."""
        if not self._ready():
            raise NoData
        facts = await self._server.who()
        info = catalog.INFO.one(1, facts.build, facts.mode)
        if facts.mode == "router":
            return [info]
        return [
            info,
            catalog.MODEL_INFO.one(1, facts.model, facts.quantization or "", PurePath(facts.file or "").name),
            catalog.MODEL_PARAMETERS.one(facts.parameters, facts.model),
            catalog.MODEL_SIZE.one(facts.size, facts.model),
            catalog.MODEL_CONTEXT.one(facts.context, facts.model),
            catalog.MODEL_TRAIN_CONTEXT.one(facts.train_context, facts.model),
            catalog.MODEL_SLOTS.one(facts.slots, facts.model),
        ]
