"""What an operator trusts at night: crashes in a row, hangs, and nothing left behind."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from exporter.demo.model import write_tiny_model
from tests.integration.program import Program, exporter
from tests.support import FAKE, alive, eventually

KILLS = 100


def children(it: Program) -> list[psutil.Process]:
    return psutil.Process(it.process.pid).children(recursive=True)


async def test_killed_a_hundred_times_there_is_one_child_no_zombie_and_the_right_count(tmp_path: Path) -> None:
    restart = {"initial_backoff": "1ms", "max_backoff": "1ms", "give_up_after": KILLS + 2}
    async with exporter(command=FAKE, server={"restart": restart}, folder=tmp_path) as it:
        for number in range(KILLS):
            started = await it.told("server_started", number + 1)
            os.kill(started[number]["pid"], signal.SIGKILL)
        await it.told("server_started", KILLS + 1)
        await it.until("ready")
        assert sorted(child.name() == "sh" for child in children(it)) == [False, True]  # llama-server and its guard
        assert [child for child in children(it) if child.status() == psutil.STATUS_ZOMBIE] == []
        samples = await it.metrics()
        assert samples["llama_server_exits_total{code=SIGKILL}"] == KILLS
        assert samples["llama_server_restarts_total{reason=crash}"] == KILLS
        assert len(it.events("server_exited")) == KILLS


async def test_a_wedge_behind_a_healthy_answer_is_a_hang(tmp_path: Path) -> None:
    settings = {
        "args": ["--wedge"],
        "health": {"interval": "100ms", "unresponsive_after": "1s"},
        "restart": {"initial_backoff": "10ms"},
    }
    async with exporter(command=FAKE, server=settings, folder=tmp_path) as it:
        (event, *_) = await it.told("server_unresponsive")
        assert event["message"].startswith("requests have been running for")
        await it.told("server_started", 2)
        assert (await it.status())["restarts"]["unresponsive"] >= 1


async def test_a_long_generation_is_no_hang_and_a_stop_waits_for_it_and_says_so(
    real: tuple[str, ...], tmp_path: Path
) -> None:
    model = write_tiny_model(tmp_path / "tiny.gguf", context=65536)
    settings = {
        "args": ["-m", str(model), "-c", "65536", "-np", "1"],
        "stop_timeout": "2s",
        "health": {"interval": "50ms", "unresponsive_after": "500ms"},
    }
    async with exporter(command=real, server=settings, folder=tmp_path) as it:
        await it.until("ready")
        generation = asyncio.create_task(it.complete(10_000_000))
        await eventually(lambda: any(line.get("function") == "launch_slot_" for line in it.lines))

        async def generated() -> bool:
            found = await it.metrics()
            return max((value for name, value in found.items() if "generation_tokens_total" in name), default=0) > 500

        await eventually(generated)
        assert it.events("server_unresponsive") == []
        assert await it.end() == 0
        generation.cancel()
        await asyncio.gather(generation, return_exceptions=True)
        assert it.events("server_exited")[0]["level"] == "info"


async def test_no_line_stops_the_log_or_the_server_behind_it(tmp_path: Path) -> None:
    """More than a pipe holds follows the odd lines: llama-server would block, and never be ready."""
    odd = [
        b"slot launch_slot_: id  0 | task 0 | processing task",
        b"slot update_slots: id  0 | task 0 | prompt processing progress, n_tokens = 10, progress = 0.51.",
        b"srv  " + b"c" * 16_384 + b": " + b"m" * 2048,
        b"slot update_slots: id  0 | task 0 | " + b"new prompt, " * 25_000,
        b"got exception: " + b'"code":1,' * 25_000,
        b"slot update_slots: id  0 | task " + b"9" * 5000 + b" | \xff\0\xed\xa0\x80",
        *[b"0.00.000.001 I srv  f: a line"] * 100_000,
    ]
    (tmp_path / "odd").write_bytes(b"\n".join([*odd, b""]))
    command = ("sh", "-c", f'cat {tmp_path / "odd"} >&2; exec {" ".join(FAKE)} "$@"', "sh")
    async with exporter(command=command, folder=tmp_path) as it:
        await it.until("ready")
        await eventually(lambda: sum(line["message"] == "a line" for line in it.lines) == 100_000)
        assert (await it.metrics())["llama_exporter_log_bytes_total"] >= (tmp_path / "odd").stat().st_size
        assert await it.end() == 0


async def test_an_attached_server_may_come_and_go(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    async with exporter(command=FAKE, server={"autostart": False}, folder=one) as owner:
        settings = {"attach": owner.server, "health": {"interval": "50ms"}}
        async with exporter(server=settings, folder=other) as it:
            status = await it.until("stopped")
            assert status["reason"] == f"nothing answers at {owner.server}"
            child = await asyncio.create_subprocess_exec(*FAKE, "--port", owner.server.rpartition(":")[2])
            await it.until("ready")
            assert (await it.metrics())["llama_server_up"] == 1
            child.kill()
            await child.wait()
            await it.until("stopped")
            samples = await it.metrics()
            assert samples["llama_server_up"] == 0
            assert [name for name in samples if name.startswith("llamacpp:")] == []


def test_as_an_init_it_reaps_what_is_re_parented_to_it_and_leaves_its_own() -> None:
    code = f"""
import ctypes, subprocess, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from exporter.supervisor.process import reap_orphans
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
own = subprocess.Popen([sys.executable, "-c", ""])
subprocess.run(["sh", "-c", "sleep 0.05 & exit"], check=True)
reaped = []
while not reaped:
    reaped = reap_orphans(lambda: own.pid)
assert own.pid not in reaped
assert own.wait() == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


ROUTER = os.environ.get("LLAMA_SERVER")


async def test_killed_with_a_router_and_two_models_nothing_stays(tmp_path: Path) -> None:
    if ROUTER is None:
        # The server of xllamacpp has no router mode: without the executable, a command with a child stands in.
        script = f'{" ".join(FAKE)} --port 1 & exec {" ".join(FAKE)} "$@"'
        command: tuple[str, ...] = ("sh", "-c", script, "sh")
        args: list[str] = []
    else:
        models = tmp_path / "models"
        models.mkdir()
        for name in ("alpha", "beta"):
            write_tiny_model(models / f"{name}.gguf")
        command, args = (ROUTER,), ["--models-dir", str(models)]
    async with exporter(command=command, server={"args": args}, folder=tmp_path) as it:
        await it.until("ready")
        if ROUTER is not None:
            for name in ("alpha", "beta"):
                body = {"model": name, "prompt": "x", "n_predict": 1}
                async with it.session.post(f"{it.server}/completion", json=body) as response:
                    assert response.status == 200
        pids = [child.pid for child in children(it)]
        assert len(pids) >= 2
        await it.end(signal.SIGKILL)
        await eventually(lambda: not [pid for pid in pids if alive(pid)], within=5)
