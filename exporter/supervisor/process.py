"""One llama-server process and its group: spawn, signal, reap. The only module that touches the process."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from exporter.supervisor.guard import Guard

PR_SET_PDEATHSIG = 1  # linux/prctl.h


class CannotStartError(Exception):
    """The process could not be started. The message says what was looked for, where, and what to do.

    `retry` tells whether waiting can help (a port that may become free) or not (a file that is not there).
    """

    def __init__(self, message: str, *, retry: bool) -> None:
        super().__init__(message)
        self.retry = retry


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: `code` 0..255, or the name of the signal that killed it."""

    code: int | None
    signal: str | None

    @classmethod
    def of(cls, returncode: int) -> "Exit":
        """Translate Python's return code, where a signal is a negative number."""
        if returncode >= 0:
            return cls(returncode, None)
        try:
            return cls(None, signal.Signals(-returncode).name)
        except ValueError:  # real-time signals have no name in the enum
            return cls(None, f"SIG{-returncode}")

    def __str__(self) -> str:
        return f"ended by {self.signal}" if self.signal else f"ended with code {self.code}"

    @property
    def label(self) -> str:
        """The value of the metric's `code` label."""
        return self.signal or str(self.code)


def _die_with_parent() -> Callable[[], None] | None:
    """What the child does between fork and exec, so that not even a SIGKILL of the exporter leaves it behind.

    The kernel sends the signal when the *thread* that forked ends; we fork in the main thread. The C library is loaded
    here, in the parent: after a fork only calls that take no lock are safe. Only Linux has such a thing.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def in_child() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the parent died before prctl
            os._exit(1)

    return in_child


class ChildProcess:
    """A running child that leads its own process group. Its stdout and stderr are pipes for the log pump."""

    guard: Guard

    def __init__(self, process: asyncio.subprocess.Process, stdout_fd: int, stderr_fd: int) -> None:
        self._process = process
        self.stdout_fd = stdout_fd
        self.stderr_fd = stderr_fd

    @classmethod
    async def spawn(cls, command: Sequence[str], env: Mapping[str, str], cwd: str | None) -> Self:
        """Start `command`. Raise `CannotStartError` when the system refuses.

        The pipes are ours, not asyncio's, so that the pump reads them in large pieces and can outlive the process.
        """
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out_write,
                stderr=err_write,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
                preexec_fn=_die_with_parent(),
            )
        except (OSError, ValueError) as error:
            os.close(out_read)
            os.close(err_read)
            raise CannotStartError(
                f"cannot run {command[0]}: {error}", retry=isinstance(error, BlockingIOError)
            ) from None
        finally:
            os.close(out_write)
            os.close(err_write)
        child = cls(process, out_read, err_read)
        child.guard = await Guard.post(child.pid)
        return child

    @property
    def pid(self) -> int:
        """PID of the child, which is also the ID of its process group."""
        return self._process.pid

    async def wait(self) -> Exit:
        """Wait for the end, reap, and kill what is left of the group: nothing of a dead server stays behind."""
        returncode = await self._process.wait()
        self.signal_group(signal.SIGKILL)
        await self.guard.dismiss()
        return Exit.of(returncode)

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to every process of the group; a group that is gone already is fine."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            # macOS says EPERM for a group that holds only zombies.
            return
