"""The health of a server, and at its first good answer who it is, so that a ready server is a known one."""

from exporter.llama.client import Health, LlamaClient, UpstreamError
from exporter.llama.server import LlamaServer
from exporter.logs.own import FailureLog


class Probe:
    """Asks over `client`, whose timeout is that of the health check."""

    def __init__(self, client: LlamaClient, server: LlamaServer, failures: FailureLog) -> None:
        self._client = client
        self._server = server
        self._failures = failures

    async def __call__(self) -> Health:
        """Ask once."""
        health = await self._client.health()
        if health is Health.OK:
            error = None
            try:
                await self._server.who()
            except UpstreamError as failure:
                error = str(failure)
            self._failures.report("asking llama-server for its model", error)
        return health
