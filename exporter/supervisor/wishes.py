"""What others want of the server, left for the one task that owns it."""

import asyncio

from exporter.llama.client import Health
from exporter.supervisor.process import Exit
from exporter.supervisor.snapshot import RestartReason


class Wishes:
    """Wishes wake the owner up. That the server should run at all is in the snapshot, for everybody to see."""

    def __init__(self) -> None:
        self.restart: RestartReason | None = None
        """Why the running process is to be replaced; None when it is not."""
        self.closing = False
        """The server is to be stopped for good."""
        self.hurry = False
        """A process that is being stopped is to be killed."""
        self._made = asyncio.Event()

    def made(self) -> None:
        """Somebody wished something."""
        self._made.set()

    def all_seen(self) -> None:
        """Wait for later ones only."""
        self._made.clear()

    async def wait(self, *tasks: asyncio.Task[Exit] | asyncio.Task[Health], within: float | None = None) -> None:
        """Wait until somebody wishes something, one of `tasks` is done, or `within` seconds are over."""
        wish = asyncio.create_task(self._made.wait())
        await asyncio.wait({*tasks, wish}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        wish.cancel()
        self._made.clear()
