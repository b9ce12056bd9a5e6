"""The exporter as users run it: a process of its own, watched through its doors."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from tests.support import alive, eventually, free_port

ROOT = Path(__file__).parents[2]
EXPORTER = (sys.executable, "-m", "exporter")
EMBEDDED = (sys.executable, "-m", "exporter.demo.embedded")


class Program:
    """A running exporter: `url` of it, `server` of its llama-server, and all that it has printed."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, server_port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.server = f"http://127.0.0.1:{server_port}"
        self.lines: list[dict[str, Any]] = []
        self.raw: list[bytes] = []
        self.stderr = b""
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120))
        self._readers = [asyncio.create_task(self._read_stdout()), asyncio.create_task(self._read_stderr())]

    async def _read_stdout(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.raw.append(line)
            self.lines.append(json.loads(line))

    async def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.stderr += line

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        async with self.session.get(f"{self.url}{path}", headers=headers) as response:
            return response.status, await response.text()

    async def metrics(self) -> dict[str, float]:
        """Samples by `name{label="value"}`, through a parser that is not ours."""
        status, page = await self.get("/metrics")
        assert status == 200
        return {
            sample.name + "".join(f"{{{k}={v}}}" for k, v in sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
        }

    async def status(self) -> dict[str, Any]:
        status, body = await self.get("/api/v1/status")
        assert status == 200
        decoded: dict[str, Any] = json.loads(body)
        return decoded

    async def until(self, state: str) -> dict[str, Any]:
        async def check() -> dict[str, Any] | None:
            status = await self.status()
            return status if status["state"] == state else None

        found: dict[str, Any] = await eventually(check, within=40)
        return found

    async def complete(self, tokens: int, prompt: str = "hello", **more: Any) -> dict[str, Any]:
        """A completion of exactly so many tokens, and what the API says of it."""
        body = {"prompt": prompt, "n_predict": tokens, "ignore_eos": True, **more}
        async with self.session.post(f"{self.server}/completion", json=body) as response:
            assert response.status == 200
            answer: dict[str, Any] = await response.json()
            return answer

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("event") == name]

    async def told(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """The events of this name, as soon as there are so many: they come by another way than answers do."""
        await eventually(lambda: len(self.events(name)) >= count)
        return self.events(name)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = await asyncio.wait_for(self.process.wait(), 30)
        await asyncio.gather(*self._readers)
        return code

    async def dispose(self) -> None:
        """End it if the test did not, and find nothing left."""
        await self.session.close()
        if self.process.returncode is None:
            try:
                await self.end()
            except TimeoutError:
                await self.end(signal.SIGKILL)  # a test that fails leaves nothing running
                raise
        # The fake llama-server is Python, too: a signal that comes while it starts may leave a traceback of its own.
        tracebacks = [line for line in self.raw if b"Traceback" in line and b'"source":"exporter"' in line]
        assert not tracebacks, tracebacks[0]
        for line in self.events("server_started"):
            await eventually(lambda pid=line["pid"]: not alive(pid), within=10)  # type: ignore[misc]


@asynccontextmanager
async def exporter(
    *arguments: str,
    command: Sequence[str] | None = None,
    server: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    folder: Path,
    wait: bool = True,
    program: Sequence[str] = EXPORTER,
) -> AsyncIterator[Program]:
    """Run `program` with a configuration in `folder`; `wait` until it serves."""
    port, server_port = free_port(), free_port()
    settings: dict[str, Any] = {
        "server": {
            "port": server_port,
            "health": {"interval": "100ms"},
            "restart": {"initial_backoff": "100ms"},
            **({"command": list(command)} if command else {}),
            **(server or {}),
        },
        **(config or {}),
    }
    file = folder / "exporter.yml"
    file.write_bytes(msgspec.yaml.encode(settings))
    process = await asyncio.create_subprocess_exec(
        *(*program, "--config.file", str(file)),
        *("--web.listen-address", f"127.0.0.1:{port}", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        limit=1 << 24,
    )
    it = Program(process, port, server_port)
    try:
        if wait:
            await eventually(lambda: any("serving on" in line["message"] for line in it.lines))
        yield it
    finally:
        await it.dispose()
