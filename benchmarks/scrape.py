"""What a scrape costs: CPU of the exporter alone, latency, memory after 1,000 scrapes. `python benchmarks/scrape.py`.

Runs the demo (real llama.cpp server, tiny model, a little traffic) in a process of its own and scrapes it over HTTP.
"""

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from http import HTTPStatus

import aiohttp
import psutil

SCRAPES = 1000
WARM_UP = 50


async def measure(url: str, process: psutil.Process) -> None:
    """Scrape, then print."""
    async with aiohttp.ClientSession() as session:

        async def scrape() -> float:
            begun = time.perf_counter()
            async with session.get(url) as response:
                await response.read()
            return time.perf_counter() - begun

        for _ in range(WARM_UP):
            await scrape()
        cpu = sum(process.cpu_times()[:2])
        latencies = [await scrape() for _ in range(SCRAPES)]
        cpu = sum(process.cpu_times()[:2]) - cpu
    percentiles = statistics.quantiles(latencies, n=100)
    print(f"CPU per scrape   {cpu / SCRAPES * 1e3:7.2f} ms")
    print(f"latency p50      {percentiles[49] * 1e3:7.2f} ms")
    print(f"latency p99      {percentiles[98] * 1e3:7.2f} ms")
    print(f"RSS              {process.memory_info().rss / 1e6:7.1f} MB after {SCRAPES + WARM_UP} scrapes")


async def ready(url: str) -> None:
    """Wait for llama-server."""
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as response:
                    if response.status == HTTPStatus.OK:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.1)


def free_port() -> int:
    """Find a port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main() -> None:
    """Run the exporter over the embedded server, without the demo's traffic inside the measured process."""
    import tempfile  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    from exporter.demo.model import write_tiny_model  # noqa: PLC0415 -- an extra

    with tempfile.TemporaryDirectory() as folder:
        model = write_tiny_model(Path(folder) / "tiny.gguf")
        port, server_port = free_port(), free_port()
        exporter = subprocess.Popen(
            [sys.executable, "-m", "exporter", "--web.listen-address", f"127.0.0.1:{port}", "--", "-m", str(model)],
            env={
                **os.environ,
                "LLAMA_EXPORTER_SERVER__COMMAND": f'["{sys.executable}", "-m", "exporter.demo.embedded"]',
                "LLAMA_EXPORTER_SERVER__PORT": str(server_port),
            },
            stdout=subprocess.DEVNULL,
        )
        try:
            asyncio.run(ready(f"http://127.0.0.1:{port}/-/ready"))
            asyncio.run(measure(f"http://127.0.0.1:{port}/metrics", psutil.Process(exporter.pid)))
        finally:
            exporter.terminate()
            exporter.wait()


if __name__ == "__main__":
    main()
