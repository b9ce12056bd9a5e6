"""What many tests need: ports, conditions, the fake server's command."""

import asyncio
import inspect
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FAKE = (sys.executable, str(Path(__file__).parent / "fake_llama_server.py"))
FIXTURES = Path(__file__).parent / "fixtures" / "llama-server"


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def eventually(check: Callable[[], Any], within: float = 20.0) -> Any:
    """Await a condition: the first true result of `check`, or a failure after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        result = check()
        value = await result if inspect.isawaitable(result) else result
        if value:
            return value
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.02)


def soon(seconds: float = 20.0) -> float:
    """A deadline for collectors."""
    return time.monotonic() + seconds


def alive(pid: int) -> bool:
    """Does the process run (a zombie does not)?"""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"
