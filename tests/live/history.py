"""A minute in the life of a real llama-server, scraped by a real Prometheus with the rules of this repository."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from exporter.demo.model import write_tiny_model
from exporter.demo.traffic import play
from tests.integration.program import EMBEDDED, Program, exporter
from tests.known_metrics import RULES
from tests.live.programs import program
from tests.live.stand_in import stand_in
from tests.nvml.stub import Stub
from tests.support import eventually, free_port

SCRAPES = 60
STEP = 5

Series = list[dict[str, Any]]


class History(NamedTuple):
    """Prometheus at `url`, and the time at which the minute ended. The exporter is the job llama."""

    url: str
    end: float

    def api(self, path: str, **parameters: str) -> Any:
        """An answer of Prometheus; the test fails with its words when it refuses."""
        body = urllib.parse.urlencode(parameters).encode() if parameters else None
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}", body) as response:  # noqa: S310 -- our own address
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error

    def instant(self, query: str) -> Series:
        """Series with a number at the end of the minute."""
        result = self.api("query", query=query, time=str(self.end))
        found = result["result"] if result["resultType"] == "vector" else [{"metric": {}, "value": result["result"]}]
        return [one for one in found if one["value"][1] != "NaN"]

    def range(self, query: str) -> Series:
        """Series with a number anywhere in the minute."""
        start = str(self.end - SCRAPES)
        found = self.api("query_range", query=query, start=start, end=str(self.end), step=str(STEP))["result"]
        return [one for one in found if any(value != "NaN" for _, value in one["values"])]


@contextmanager
def recorded(folder: Path, gpus: Stub) -> Iterator[History]:
    """Let the minute pass, then leave Prometheus running for questions. `gpus` are those that the exporter finds."""
    prometheus, port = program("prometheus"), free_port()
    with contextlib.ExitStack() as stack:
        end = asyncio.run(_live(folder, prometheus, port, stack, gpus))
        yield History(f"http://127.0.0.1:{port}", end)


async def _live(folder: Path, prometheus: str, port: int, stack: contextlib.ExitStack, gpus: Stub) -> float:
    model = write_tiny_model(folder / "tiny.gguf")
    executable = os.environ.get("LLAMA_SERVER")
    other = free_port()
    stack.enter_context(stand_in(other))
    async with exporter(
        command=(executable,) if executable else EMBEDDED,
        server={"args": ["-m", str(model), "-c", "8192", "-np", "4", "--alias", "tiny"]},
        folder=folder,
    ) as it:
        first = await it.until("ready")
        ready = stack.enter_context(
            _serve(prometheus, folder, port, {"llama": it.url, "stand-in": f"http://127.0.0.1:{other}"})
        )
        history = History(f"http://127.0.0.1:{port}", 0)
        await eventually(lambda: asyncio.to_thread(ready), within=60)
        await eventually(lambda: asyncio.to_thread(_scrapes, history), within=30)
        os.kill(first["pid"], signal.SIGKILL)
        again = await eventually(lambda: _other(it, first["pid"]), within=60)
        gpus.put({"compute.0": f"{again}:4096"})
        traffic = asyncio.create_task(play(it.server, rounds=None, pause=0.1))
        await eventually(lambda: asyncio.to_thread(_enough, history), within=240)
        end = time.time()
        traffic.cancel()
        await asyncio.wait([traffic])
        return end


async def _other(it: Program, pid: int) -> int | None:
    """The PID of the process that came after this one, once it is ready."""
    status = await it.status()
    return status["pid"] if status["state"] == "ready" and status["pid"] != pid else None


def _enough(history: History) -> bool:
    return _scrapes(history) >= SCRAPES


def _scrapes(history: History) -> int:
    """How many scrapes of the exporter Prometheus has."""
    found = history.api("query", query='count_over_time(up{job="llama"}[10m])')["result"]
    return int(found[0]["value"][1]) if found else 0


@contextmanager
def _serve(prometheus: str, folder: Path, port: int, targets: dict[str, str]) -> Iterator[Callable[[], bool]]:
    """Run it. What is yielded tells whether it answers questions yet."""
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(file) for file in RULES],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [url.removeprefix("http://")]}]}
            for job, url in targets.items()
        ],
    }
    file = folder / "prometheus.yml"
    file.write_bytes(msgspec.yaml.encode(config))
    command = [
        prometheus,
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "prometheus.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:

        def ready() -> bool:
            assert process.poll() is None, (folder / "prometheus.log").read_text()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready") as response:
                    return bool(response.status == HTTPStatus.OK)
            except OSError:  # nobody listens yet, or 503
                return False

        try:
            yield ready
        finally:
            process.terminate()
