"""Whatever ends the exporter, the whole process group of llama-server ends with it.

The parent-death signal reaches only the process that we started, and only on Linux. A shell of some hundred kilobytes
reaches the rest: it waits for the end of a pipe whose other end nobody has but the exporter, and then kills the group.
"""

import asyncio
import os
from typing import Self

SCRIPT = 'read -r _; kill -s KILL -- "-$1"'


class Guard:
    """Watches over one process group until `dismiss`."""

    def __init__(self, process: asyncio.subprocess.Process, pipe: int) -> None:
        self._process = process
        self._pipe = pipe

    @classmethod
    async def post(cls, group: int) -> Self:
        """Start watching over `group`. Raise `OSError` when there is no shell."""
        read, write = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *("/bin/sh", "-c", SCRIPT, "llama-exporter-guard", str(group)),
                stdin=read,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C is not for the guard
            )
        except OSError:
            os.close(write)
            raise
        finally:
            os.close(read)
        return cls(process, write)

    async def dismiss(self) -> None:
        """The group is gone. The guard goes first: it must not see the pipe's end, and kill whoever has that number."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        os.close(self._pipe)
