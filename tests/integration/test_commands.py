"""Commands in any order from many clients: one process at most, the last command wins, and the end is final."""

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import msgspec
import psutil
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.integration.program import Program, exporter
from tests.support import FAKE, eventually

CLIENTS = 50
PATHS = {name: f"/api/v1/server/{name}" for name in ("start", "stop", "restart")} | {"reload": "/-/reload"}
STUBBORN = {"args": ["--ignore-term"], "stop_timeout": "600s"}
"""A server that ends when the test kills it, so that it is stopped for as long as the test needs."""


async def command(it: Program, name: str) -> int:
    async with it.session.post(it.url + PATHS[name]) as response:
        await response.read()
        return response.status


def servers(it: Program) -> list[int]:
    """PIDs of the llama-servers that run now."""
    found = []
    for child in psutil.Process(it.process.pid).children():
        with suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE and FAKE[1] in child.cmdline():
                found.append(child.pid)
    return found


@asynccontextmanager
async def one_at_most(it: Program) -> AsyncIterator[None]:
    """Fail when two servers run at a time: in the table of processes, or by the log."""
    most = 0

    async def look() -> None:
        nonlocal most
        while True:
            with suppress(psutil.NoSuchProcess):
                most = max(most, len(servers(it)))
            await asyncio.sleep(0.01)  # the interval of the looks, not a wait for something

    looking = asyncio.create_task(look())
    yield
    looking.cancel()
    assert most <= 1
    running = None
    for line in it.lines:
        if line.get("event") == "server_started":
            assert running is None
            running = line["pid"]
        elif line.get("event") == "server_exited":
            assert running == line["pid"]
            running = None


def change(folder: Path, number: int) -> None:
    """Give the next reload something to do: a new argument of llama-server."""
    file, aside = folder / "exporter.yml", folder / f"{number}.yml"
    configuration = msgspec.yaml.decode(file.read_bytes())
    configuration["server"]["args"] = ["--say", f"started by reload {number}"]
    aside.write_bytes(msgspec.yaml.encode(configuration))
    aside.replace(file)


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    async with exporter(command=FAKE, folder=tmp_path) as it:
        yield it


@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    print_blob=True,
)
@given(
    orders=st.lists(st.lists(st.sampled_from([*PATHS]), max_size=3), min_size=CLIENTS, max_size=CLIENTS),
    last=st.sampled_from(["start", "stop", "restart"]),
)
async def test_any_commands_from_many_clients_at_once(
    program: Program, tmp_path: Path, orders: list[list[str]], last: str
) -> None:
    numbers = itertools.count()

    async def client(names: list[str]) -> None:
        for name in names:
            if name == "reload":
                change(tmp_path, next(numbers))
            assert await command(program, name) in (200, 202, 409)

    async with one_at_most(program):
        await asyncio.gather(*map(client, orders))
        assert await command(program, last) in (202, 409)
        status = await program.until("stopped" if last == "stop" else "ready")
        assert status["desired"] == ("stopped" if last == "stop" else "running")
        assert servers(program) == ([] if last == "stop" else [status["pid"]])
        for _ in range(20):  # what was ordered before does not come later
            now = await program.status()
            assert (now["state"], now["pid"]) == (status["state"], status["pid"])


async def test_sigterm_amid_commands_ends_program_and_server(program: Program) -> None:
    async def client(number: int) -> None:
        with suppress(aiohttp.ClientError):
            for name in itertools.islice(itertools.cycle(PATHS), number, None):
                await command(program, name)

    async with one_at_most(program):
        clients = [asyncio.create_task(client(number)) for number in range(CLIENTS)]
        await program.told("server_started", 3)
        assert await program.end() == 0
        await asyncio.gather(*clients)


async def test_restart_twice_at_once_replaces_the_process_once(program: Program) -> None:
    before = (await program.until("ready"))["pid"]
    assert 202 in await asyncio.gather(command(program, "restart"), command(program, "restart"))
    await program.told("server_ready", 2)
    assert [line["pid"] for line in program.events("server_exited")] == [before]
    assert await program.end() == 0
    assert len(program.events("server_started")) == 2


async def test_a_restart_while_the_process_stops_does_not_mean_the_next_one(tmp_path: Path) -> None:
    async with exporter(command=FAKE, server=STUBBORN, folder=tmp_path) as it:
        before = (await it.until("ready"))["pid"]
        assert await command(it, "restart") == 202
        await it.until("stopping")
        assert await command(it, "restart") in (202, 409)
        os.kill(before, signal.SIGKILL)
        after = (await it.until("ready"))["pid"]
        assert servers(it) == [after]
        it.process.send_signal(signal.SIGTERM)
        await it.told("server_stopping", 2)
        assert await it.end() == 0
        assert [line["pid"] for line in it.events("server_started")] == [before, after]


async def test_a_start_during_the_end_starts_nothing(tmp_path: Path) -> None:
    async with exporter(command=FAKE, server=STUBBORN, folder=tmp_path) as it:
        pid = (await it.until("ready"))["pid"]
        it.process.send_signal(signal.SIGTERM)
        await it.told("server_stopping")
        for name in ("start", "restart", "reload"):
            with suppress(aiohttp.ClientError):
                await command(it, name)
        os.kill(pid, signal.SIGKILL)
        assert await asyncio.wait_for(it.process.wait(), 30) == 0
        assert len(it.events("server_started")) == 1


@pytest.mark.parametrize("stubborn", [False, True])
async def test_it_ends_while_a_thread_is_blocked(tmp_path: Path, *, stubborn: bool) -> None:
    fifo = tmp_path / "model.gguf"
    os.mkfifo(fifo)
    settings = {"args": ["--model-path", str(fifo), *["--ignore-term"] * stubborn], "stop_timeout": "600s"}
    async with exporter(command=FAKE, server=settings, folder=tmp_path) as it:
        writers: list[int] = []

        async def blocked() -> bool:
            """The exporter reads the file, or knows better and goes on without."""
            with suppress(OSError):  # nobody reads yet
                writers.append(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
            return bool(writers) or "llama_model_slots{model=fake}" in await it.metrics()

        await eventually(blocked)
        if stubborn:
            it.process.send_signal(signal.SIGTERM)
            await it.told("server_stopping")
        assert await it.end() == 0
        for writer in writers:
            os.close(writer)
