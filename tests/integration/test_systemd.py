"""The exporter as systemd sees it: a real socket in the place of systemd's, a real process that talks to it."""

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.integration.program import exporter
from tests.support import FAKE, eventually


async def test_systemd_is_told_how_llama_server_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "notify")
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        systemd.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        monkeypatch.delenv("WATCHDOG_USEC", raising=False)

        def hears(start: str) -> bool:
            try:
                heard.append(systemd.recv(4096).decode())
            except BlockingIOError:
                return False
            return heard[-1].startswith(start)

        restart = {"initial_backoff": "100ms", "give_up_after": 1}
        async with exporter(command=FAKE, server={"restart": restart}, folder=tmp_path) as it:
            pid = (await it.until("ready"))["pid"]
            await eventually(lambda: hears("STATUS=llama-server is ready"))
            assert "READY=1" in heard
            os.kill(pid, signal.SIGKILL)
            await eventually(lambda: hears("STATUS=llama-server is failed"))
            assert "SIGKILL" in heard[-1], "and why"
            assert await it.end() == 0
            await eventually(lambda: hears("STOPPING=1"))
    assert all("\n" not in line for line in heard)
