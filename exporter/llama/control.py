"""What a router can be told: to load a model, and to unload one."""

from collections.abc import Callable

from exporter.llama.client import LlamaClient


class RouterControl:
    """The router at `client`. `changed` is called when it has taken an order: what it says of its models is another."""

    def __init__(self, client: LlamaClient, changed: Callable[[], None]) -> None:
        self._client = client
        self._changed = changed

    async def load(self, name: str) -> None:
        """Load a model. Raise `UpstreamError` with the router's words when it refuses."""
        await self._order("/models/load", name)

    async def unload(self, name: str) -> None:
        """Unload a model. Raise `UpstreamError` with the router's words when it refuses."""
        await self._order("/models/unload", name)

    async def _order(self, path: str, name: str) -> None:
        await self._client.post(path, {"model": name})
        self._changed()
