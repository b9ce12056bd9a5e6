"""llama-server's log in this process: what goes into its pipes, and what comes out on stdout."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from exporter.logs.output import LogOutput
from exporter.logs.server_log import ServerLog
from exporter.tasks import Border

ENDLESS = (sys.executable, "-c", "while True: print('a line', flush=True)")
"""A process that writes until nobody reads."""


def server_log(output: LogOutput, **parts: Any) -> ServerLog:
    """One whose events go nowhere, unless `parts` say otherwise."""
    defaults: dict[str, Any] = {
        "border": Border(),
        "on_request": lambda _: None,
        "on_router": lambda _: None,
        "model_of": lambda _: None,
        "prompts": False,
    }
    return ServerLog(output, **{**defaults, **parts})


async def run(log: ServerLog, *command: str) -> int:
    """Run a child with both pipes followed, until everything has been read."""
    out, err = os.pipe(), os.pipe()
    child = await asyncio.create_subprocess_exec(*command, stdout=out[1], stderr=err[1])
    os.close(out[1])
    os.close(err[1])
    log.follow(out[0], err[0])
    code = await child.wait()
    for reader in log._readers:
        await reader.wait()
    return code


class Followed:
    """A log that is followed: the writing ends of its pipes, and what it shipped when it is over."""

    def __init__(self, log: ServerLog, output: LogOutput, file: Path) -> None:
        self.log = log
        self.output = output
        self._file = file
        self.out, self.err = self.pipes()

    def pipes(self) -> tuple[int, int]:
        """Follow a process that begins now."""
        out, err = os.pipe(), os.pipe()
        self.log.follow(out[0], err[0])
        self.out, self.err = out[1], err[1]
        return self.out, self.err

    async def say(self, data: bytes | str, stream: str = "err") -> None:
        """Write all of it, as a process does that blocks while the pipe is full; return when it has been read."""
        pieces = memoryview(data.encode() if isinstance(data, str) else data)
        fd: int = getattr(self, stream)
        while pieces:
            pieces = pieces[await asyncio.to_thread(os.write, fd, pieces) :]

    async def end(self) -> list[dict[str, Any]]:
        """End the process, and return what was shipped of it."""
        os.close(self.out)
        os.close(self.err)
        for reader in self.log._readers:
            await reader.wait()
        await asyncio.to_thread(self.output.close, 60)
        return self.shipped()

    def shipped(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(line) for line in self._file.read_bytes().splitlines()]


@asynccontextmanager
async def followed(folder: Path, level: str = "debug", **parts: Any) -> AsyncIterator[Followed]:
    """A log of a process that a test plays."""
    file = folder / "out"
    with file.open("wb") as stdout:
        output = LogOutput(stdout.fileno(), buffer=1 << 28, level=level, tail=100)  # type: ignore[arg-type]
        yield Followed(server_log(output, **parts), output, file)
        output.close(10)
