"""The one task that owns llama-server's process: starts it, supervises it, and decides what follows its end."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from exporter.config import LiveServer
from exporter.llama.api import Health
from exporter.supervisor import commands
from exporter.supervisor.commands import Command, CommandQueue, Launcher
from exporter.supervisor.exit_causes import likely_cause, oom_kills
from exporter.supervisor.policy import Backoff, Policy
from exporter.supervisor.process import CannotStartError, Exit
from exporter.supervisor.run import Control, ProcessRun, RequestActivity
from exporter.supervisor.states import RUNNING, Observer, RestartReason, Snapshot, State, Status

CHECK_PATIENCE = 0.5
"""Seconds that a command waits for the check before a start, which takes milliseconds if nothing hangs."""


class Supervisor:
    """Keeps one process in the state that is desired; `run` takes commands from one queue, in their order.

    `probe` requests its health, `observe` is called at every change, `last_lines` gives the end of its log.
    """

    def __init__(
        self,
        *,
        launcher: Launcher,
        probe: Callable[[], Awaitable[Health]],
        progress: RequestActivity,
        policy: Policy,
        backoff: Backoff,
        observe: Observer,
        last_lines: Callable[[], tuple[str, ...]] = tuple,
        oom_kills: Callable[[], int] = oom_kills,
    ) -> None:
        self._launcher = launcher
        self._commands, self._status = CommandQueue(), Status(observe)
        self._control = Control(probe, progress, policy, backoff, self._wait)
        self._last_lines = last_lines
        self._oom_kills = oom_kills
        self._settings: LiveServer | None = None
        """Those of the last reload."""
        self._closing = False

    @property
    def snapshot(self) -> Snapshot:
        """What is known now."""
        return self._status.snapshot

    @property
    def closing(self) -> bool:
        """Whether `close` was called: no other command counts any more."""
        return self._closing

    def start(self) -> None:
        """Command that the server runs."""
        self._submit(commands.StartCommand(), desired=True)

    def stop(self) -> None:
        """Command that the server is stopped."""
        self._submit(commands.StopCommand(), desired=False)

    def restart(self, reason: RestartReason, run: int) -> None:
        """Command a new process in place of the one of this run; the same as `start` when none runs."""
        self._submit(commands.RestartCommand(reason, run), desired=True)

    def reload(self, settings: LiveServer, *, replace: bool) -> None:
        """Command other settings, and with `replace` a new process in place of the one that runs now."""
        self._submit(commands.ReloadCommand(settings, replace, self.snapshot.run), desired=self.snapshot.desired)

    def close(self) -> None:
        """Command that the server is stopped and `run` returns; called again, that it is killed at once."""
        command, self._closing = commands.CloseCommand(at_once=self._closing), True
        self._status.change(desired=False)
        self._commands.put(command)

    def _submit(self, command: Command, *, desired: bool) -> None:
        if not self._closing:
            self._status.change(desired=desired)
            self._commands.put(command)

    async def run(self) -> None:
        """Own the process until `close`. Called again after a failure of its own, it begins without a process."""
        if self.snapshot.state is not State.STOPPED:
            self._status.change(state=State.STOPPED, pid=None, started=None, started_at=None, ready=None)
        while True:
            self._take()
            if self.snapshot.desired:
                await self._start_and_supervise()
                continue
            if self.snapshot.state is not State.STOPPED:
                self._status.enter(State.STOPPED, reason=None)
            if self._closing:
                return
            await self._wait()

    async def _wait(self, *tasks: asyncio.Task[Any], within: float | None = None) -> None:
        await self._commands.wait(*tasks, within=within)
        self._take()

    def _take(self) -> bool:
        """Put the commands that came into force; return whether any of them ends a pause before a start."""
        control, pressing = self._control, False
        for command in self._commands.take():
            pressing = pressing or not isinstance(command, commands.ReloadCommand)
            match command:
                case commands.StartCommand():
                    control.backoff.forget()
                case commands.StopCommand():
                    control.replace = None
                case commands.RestartCommand():
                    control.backoff.forget()
                    self._replace(command.run, command.reason)
                case commands.ReloadCommand():
                    self._settings = command.settings
                    self._launcher.configure(command.settings)
                    control.policy, control.backoff = Policy.of(command.settings), Backoff.of(command.settings)
                    pressing = pressing or command.replace or self.snapshot.state is State.FAILED
                    if command.replace:
                        self._replace(command.run, "config")
                case commands.CloseCommand():
                    control.replace, control.hurry = None, command.at_once
        return pressing

    def _replace(self, run: int, reason: RestartReason) -> None:
        """Replace the process of this run, unless it has ended by now."""
        if run == self.snapshot.run and self.snapshot.state in RUNNING:
            self._control.replace = reason

    async def _start_and_supervise(self) -> None:
        """Run one process, from the try to start it until the next may be tried."""
        try:
            if not await self._checked():
                return
            child = await self._launcher.spawn()
        except CannotStartError as error:
            if self.snapshot.desired:  # a stop may have come during the check
                await self._after_failure(str(error), retry=error.retry)
            return
        kills_before = self._oom_kills()
        exit_, ending = await ProcessRun(child, self._status, self._control).until_exit()
        lines = self._last_lines()
        cause = likely_cause(exit_, lines, self._oom_kills() - kills_before)
        self._status.process_ended(exit_, lines, None if cause is None else cause[0])
        if not self.snapshot.desired:
            return
        if ending is None:
            await self._after_crash(exit_, None if cause is None else cause[1])
        elif ending.why is not None and ending.restart is not None:
            await self._after_failure(ending.why, retry=True, restart=ending.restart)
        elif ending.restart is not None:
            self._status.count_restart(ending.restart)

    async def _checked(self) -> bool:
        """Check before a start; False when that has to be decided again, after a command that came meanwhile."""
        settings = self._settings
        checking = asyncio.create_task(self._launcher.check())
        await self._commands.wait(checking)
        if not checking.done():  # a check that hangs on a dead mount must not delay a command
            await asyncio.wait({checking}, timeout=CHECK_PATIENCE)
        self._take()
        if not checking.done():
            checking.cancel()
            return False
        checking.result()
        return self.snapshot.desired and settings == self._settings

    async def _after_crash(self, exit_: Exit, advice: str | None) -> None:
        """Decide what follows an end of its own."""
        how = f"it {exit_} ({advice})" if advice else f"it {exit_}"
        policy = self._control.policy.restart
        if exit_.code == 0 and policy != "always":
            self._status.enter(State.STOPPED, desired=False, reason=f"{how}; server.restart.policy is {policy}")
        elif policy == "never":
            await self._after_failure(f"{how}; server.restart.policy is never", retry=False)
        else:
            await self._after_failure(how, retry=True, restart="crash")

    async def _after_failure(self, reason: str, *, retry: bool, restart: RestartReason | None = None) -> None:
        """Wait for the next try, or give up; in both cases until a command ends that."""
        delay = self._control.backoff.failed(time.monotonic()) if retry else None
        if delay is not None:
            self._status.enter(State.BACKOFF, reason=f"{reason}; next try in {delay:.1f} s")
        else:
            self._status.enter(State.FAILED, reason=f"{reason}; gave up after repeated failures" if retry else reason)
        await self._pause(delay)
        if delay is not None and restart is not None and self.snapshot.desired:
            self._status.count_restart(restart)

    async def _pause(self, seconds: float | None) -> None:
        """Wait so long (None: without end), or until a command ends the pause."""
        end = None if seconds is None else time.monotonic() + seconds
        while (left := None if end is None else end - time.monotonic()) is None or left > 0:
            await self._commands.wait(within=left)
            if self._take():
                return
