"""Commands for the supervisor, in one queue that the one task that owns the process reads; and who starts it.

A command names the process that it means by its run, so that one that was meant for a process which has been replaced
meanwhile does not hit its successor. `CloseCommand` is final.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol

from exporter.config import LiveServer
from exporter.supervisor.process import ChildProcess
from exporter.supervisor.states import RestartReason


@dataclass(frozen=True, slots=True)
class StartCommand:
    """Have the server running. Leaves `failed` and cuts a backoff short."""


@dataclass(frozen=True, slots=True)
class StopCommand:
    """Have the server stopped."""


@dataclass(frozen=True, slots=True)
class RestartCommand:
    """Replace the process of this run; start one when none runs."""

    reason: RestartReason
    run: int


@dataclass(frozen=True, slots=True)
class ReloadCommand:
    """Go on with other settings; `replace` the process of this run when it was started with settings that differ."""

    settings: LiveServer
    replace: bool
    run: int


@dataclass(frozen=True, slots=True)
class CloseCommand:
    """Stop the server and end the supervisor. `at_once`: don't wait for requests, kill it."""

    at_once: bool


Command = StartCommand | StopCommand | RestartCommand | ReloadCommand | CloseCommand


class CommandQueue:
    """What was commanded and not taken yet."""

    def __init__(self) -> None:
        self._commands: deque[Command] = deque()
        self._come = asyncio.Event()

    def put(self, command: Command) -> None:
        """Add a command and wake the supervisor."""
        self._commands.append(command)
        self._come.set()

    def take(self) -> list[Command]:
        """Return all commands in their order, and wait for later ones only."""
        taken = list(self._commands)
        self._commands.clear()
        self._come.clear()
        return taken

    async def wait(self, *tasks: asyncio.Task[Any], within: float | None = None) -> None:
        """Wait until there is a command, one of `tasks` is done, or `within` seconds are over."""
        command = asyncio.create_task(self._come.wait())
        try:
            await asyncio.wait({*tasks, command}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        finally:
            command.cancel()


class Launcher(Protocol):
    """Starts llama-server as the settings say."""

    def configure(self, settings: LiveServer) -> None:
        """Start it with these settings from now on."""
        ...

    async def check(self) -> None:
        """Check what can be checked before. Raise `CannotStartError`. It may be cancelled."""
        ...

    async def spawn(self) -> ChildProcess:
        """Start it. Raise `CannotStartError`."""
        ...
