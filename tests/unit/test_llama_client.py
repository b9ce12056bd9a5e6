import asyncio
import time

import pytest

from exporter.llama.client import Health, LlamaClient, UpstreamError


async def test_a_new_patience_counts_for_all_clients_of_a_server() -> None:
    silent = asyncio.Event()

    async def never(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silent.wait()
        writer.close()

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with LlamaClient("http://127.0.0.1:1", timeout=60) as client, client.beside(url) as child:
        client.patience.seconds = 0.05
        begun = time.monotonic()
        with pytest.raises(UpstreamError, match="not answered in time"):
            await child.get("/metrics")
        assert await child.health() is Health.NO_ANSWER
        assert time.monotonic() - begun < 10
    silent.set()
    server.close()
    await server.wait_closed()
