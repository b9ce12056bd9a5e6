import asyncio
import socket
from pathlib import Path

import pytest

from exporter.supervisor.exit_causes import CAUSES, Cause, likely_cause, oom_kills
from exporter.supervisor.process import Exit
from exporter.supervisor.systemd import Notifier, stay_alive
from tests.support import FIXTURES, eventually

ONE = Exit(1, None)


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.name)
def test_the_sample_of_every_cause_is_told_from_the_others(cause: Cause) -> None:
    assert likely_cause(ONE, ["noise", cause.sample, "noise"], 0) == (cause.name, cause.advice)


def test_signals_and_the_kernel_tell_too() -> None:
    killed = Exit(None, "SIGKILL")
    assert likely_cause(killed, [], 0) is None
    assert (likely_cause(killed, [], 1) or ("",))[0] == "oom_killed"
    assert (likely_cause(Exit(None, "SIGILL"), [], 0) or ("",))[0] == "illegal_instruction"
    assert likely_cause(ONE, ["all is well"], 1) is None


@pytest.mark.parametrize("build", ["mid", "new"])
def test_a_broken_model_is_told_from_a_real_log(build: str) -> None:
    lines = (FIXTURES / build / "router.stdout.log").read_text().splitlines()
    assert (likely_cause(ONE, lines, 0) or ("",))[0] == "model_not_loaded"


def test_the_kernels_counters(tmp_path: Path) -> None:
    vmstat, events = tmp_path / "vmstat", tmp_path / "memory.events"
    assert oom_kills((vmstat, events)) == 0
    vmstat.write_text("nr_free_pages 5\noom_kill 3\n")
    events.write_text("oom 9\noom_kill 4\noom_group_kill 7\n")
    assert oom_kills((vmstat, events)) == 4
    events.write_bytes(b"\xff\x00")
    assert oom_kills((vmstat, events)) == 3


async def test_systemd_hears_of_readiness_and_life(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        systemd.setblocking(False)
        notifier = Notifier({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "20000"})
        notifier.send("READY=1")
        assert systemd.recv(100) == b"READY=1"
        life = asyncio.create_task(stay_alive(notifier))
        heard: list[bytes] = []

        def listen() -> bool:
            try:
                heard.append(systemd.recv(100))
            except BlockingIOError:
                return False
            return len(heard) >= 2

        await eventually(listen)
        assert set(heard) == {b"WATCHDOG=1"}
        life.cancel()
    notifier.send("STOPPING=1")  # nobody listens any more: no failure
    assert Notifier({}).watchdog_interval is None
