"""The embedded llama-server as the supervisor sees it: a child process with a port, two pipes and an exit code."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from exporter.demo.model import write_tiny_model
from exporter.demo.traffic import Tally, play

DEADLINE = 20.0
LONG = {"prompt": "the rain", "n_predict": -1, "ignore_eos": True, "stream": True}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Embedded:
    """One child and where its output goes. Files, not pipes: nothing has to read them while it runs."""

    def __init__(self, folder: Path, model: Path, *flags: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._stderr = folder / f"{self.port}.stderr"
        self._stdout = folder / f"{self.port}.stdout"
        with self._stderr.open("wb") as stderr, self._stdout.open("wb") as stdout:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "exporter.demo.embedded", "-m", str(model), "--port", str(self.port), *flags],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    @property
    def stdout(self) -> str:
        return self._stdout.read_text()

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)

    async def ready(self) -> "Embedded":
        async with aiohttp.ClientSession() as session:
            end = time.monotonic() + DEADLINE
            while time.monotonic() < end:
                assert self.process.poll() is None, self.stderr
                try:
                    async with session.get(f"{self.url}/health") as response:
                        if response.status == 200:
                            return self
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.02)
        raise AssertionError(self.stderr)

    async def until_logged(self, text: str) -> None:
        end = time.monotonic() + DEADLINE
        while text not in self.stderr:
            assert time.monotonic() < end, self.stderr
            await asyncio.sleep(0.02)


Start = Callable[..., Embedded]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture
def start(tmp_path: Path, model: Path) -> Iterator[Start]:
    started: list[Embedded] = []

    def start(*flags: str, model: Path = model, port: int | None = None) -> Embedded:
        started.append(Embedded(tmp_path, model, *flags, port=port))
        return started[-1]

    yield start
    for server in started:
        server.process.kill()
        server.process.wait()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def native(http: aiohttp.ClientSession, url: str) -> dict[str, float]:
    async with http.get(f"{url}/metrics") as response:
        assert response.status == 200
        text = await response.text()
    lines = [line.split() for line in text.splitlines() if line.startswith("llamacpp:")]
    return {name.removeprefix("llamacpp:"): float(value) for name, value in lines}


async def test_speaks_as_llama_server(start: Start, http: aiohttp.ClientSession) -> None:
    server = await start("--metrics", "--alias", "demo").ready()
    async with http.post(f"{server.url}/completion", json={"prompt": "the rain", "n_predict": 5}) as response:
        timings = (await response.json())["timings"]
    assert timings["prompt_n"] > 1
    assert 1 <= timings["predicted_n"] <= 5
    async with http.get(f"{server.url}/slots") as response:
        assert [slot["id"] for slot in await response.json()] == [0, 1]
    async with http.get(f"{server.url}/v1/models") as response:
        entry = (await response.json())["data"][0]
    assert entry["id"] == "demo"
    assert (entry["meta"]["n_ctx"], entry["meta"]["n_vocab"]) == (2048, 324)
    assert (await native(http, server.url))["tokens_predicted_total"] >= timings["predicted_n"]


async def test_log_has_the_prefix_of_current_builds_and_goes_to_stderr(
    start: Start, http: aiohttp.ClientSession
) -> None:
    server = await start().ready()
    async with http.post(f"{server.url}/completion", json={"prompt": "a", "n_predict": 3}) as response:
        assert response.status == 200
    await server.until_logged("stop processing")
    lines = server.stderr.splitlines()
    assert [line for line in lines if not re.match(r"\d+\.\d\d\.\d{3}\.\d{3} [IWED] ", line)] == []
    assert any("prompt eval time" in line for line in lines)
    assert server.stdout == ""


async def test_json_lines_go_to_stdout(start: Start) -> None:
    server = await start("--log-jsonl").ready()
    assert server.end(signal.SIGTERM) == 0
    records: list[dict[str, Any]] = [json.loads(line) for line in server.stdout.splitlines()]
    assert any("model loaded" in record.get("msg", "") for record in records)
    assert server.stderr == ""


async def test_what_is_not_asked_for_is_501(start: Start, http: aiohttp.ClientSession) -> None:
    server = await start("--no-slots").ready()
    for path in ("metrics", "slots"):
        async with http.get(f"{server.url}/{path}") as response:
            assert response.status == 501


async def test_api_key_guards_all_but_health(start: Start, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("second\n")
    server = await start("--metrics", "--api-key", "first", "--api-key-file", str(keys)).ready()
    for key, status in (("first", 200), ("second", 200), ("third", 401)):
        async with http.get(f"{server.url}/metrics", headers={"Authorization": f"Bearer {key}"}) as response:
            assert response.status == status


async def test_falls_asleep_when_idle(start: Start, http: aiohttp.ClientSession) -> None:
    server = await start("--sleep-idle-seconds", "1").ready()
    await server.until_logged("entering sleeping state")
    async with http.get(f"{server.url}/props") as response:
        assert (await response.json())["is_sleeping"] is True
    assert server.end(signal.SIGTERM) == 0


def test_unknown_flag(start: Start) -> None:
    server = start("--nope")
    assert server.process.wait(DEADLINE) == 1
    assert server.stderr == "error: invalid argument: --nope\n"


@pytest.mark.parametrize("content", [b"this is not a model at all", None])
def test_a_model_that_cannot_be_loaded(start: Start, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bad.gguf"
    if content is not None:
        path.write_bytes(content)
    server = start(model=path)
    assert server.process.wait(DEADLINE) == 1
    assert "exiting due to model loading error" in server.stderr
    assert "Traceback" not in server.stderr


def test_missing_key_file(start: Start, tmp_path: Path) -> None:
    server = start("--api-key-file", str(tmp_path / "none"))
    assert server.process.wait(DEADLINE) == 1
    assert server.stderr.startswith("error: ")
    assert "Traceback" not in server.stderr


def test_port_in_use(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = start(port=taken.getsockname()[1])
        assert server.process.wait(DEADLINE) == 1
    assert "couldn't bind HTTP server socket" in server.stderr
    assert "Traceback" not in server.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_an_idle_server(start: Start, number: signal.Signals) -> None:
    server = await start().ready()
    await server.until_logged("listening on")
    began = time.monotonic()
    assert server.end(number) == 0
    assert time.monotonic() - began < 2
    assert "Traceback" not in server.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_a_busy_server(start: Start, http: aiohttp.ClientSession, number: signal.Signals) -> None:
    server = await start("-c", "65536").ready()
    async with http.post(f"{server.url}/completion", json=LONG) as response:
        await response.content.readline()  # it generates now
        began = time.monotonic()
        assert server.end(number) == 0
        assert time.monotonic() - began < 2
    assert "Traceback" not in server.stderr


async def test_traffic_counts_what_the_server_counts(start: Start, http: aiohttp.ClientSession) -> None:
    server = await start("--metrics").ready()
    tally = await asyncio.wait_for(play(server.url, rounds=2, pause=0), DEADLINE)
    assert tally.requests + tally.cancelled == 14
    assert tally.cached_tokens > 0
    counted = await native(http, server.url)
    # Current builds also count what cancelled requests did, which their clients never learn.
    assert 0 < tally.prompt_tokens <= counted["prompt_tokens_total"]
    assert 500 < tally.generated_tokens <= counted["tokens_predicted_total"]


async def test_traffic_waits_for_a_server_that_comes_back(start: Start) -> None:
    port = free_port()
    tally = Tally()
    playing = asyncio.create_task(play(f"http://127.0.0.1:{port}/", rounds=None, pause=0, tally=tally))

    async def until_more_requests_than(number: int) -> None:
        while tally.requests <= number:
            assert not playing.done()
            await asyncio.sleep(0.02)

    first = start(port=port)
    await asyncio.wait_for(until_more_requests_than(0), DEADLINE)
    first.process.kill()
    first.process.wait()
    start(port=port)
    await asyncio.wait_for(until_more_requests_than(tally.requests + 7), DEADLINE)
    playing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await playing
