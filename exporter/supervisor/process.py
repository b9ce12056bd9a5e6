"""One llama-server process and its group: spawn, signal, reap. The only module that touches the process."""

import asyncio
import ctypes
import errno
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import psutil
from loguru import logger

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PASSING = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ETXTBSY})
"""Errors of a machine that is short of something now: a later start may work."""
GUARD = 'read -r _; kill -s KILL -- "-$1"'


class CannotStartError(Exception):
    """The process could not be started. The message says what was looked for, where, and what to do.

    `retry`: waiting can help (a port that may become free), or not (a file that is not there).
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
    """Return what the child does between fork and exec, so that a SIGKILL of the exporter doesn't leave it running.

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


class GroupGuard:
    """Kills the process group when the exporter ends in any way.

    The parent-death signal reaches only the process that we started, and only on Linux. A shell of some hundred
    kilobytes reaches the rest: it waits for the end of a pipe whose other end only the exporter has.
    """

    def __init__(self, process: asyncio.subprocess.Process, pipe: int) -> None:
        self._process = process
        self._pipe = pipe

    @classmethod
    async def post(cls, group: int) -> Self:
        """Start guarding `group`. Raise `OSError` when there is no shell, or no file descriptor left."""
        read, write = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *("/bin/sh", "-c", GUARD, "llama-exporter-guard", str(group)),
                stdin=read,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C is not for the guard
            )
        except BaseException:
            os.close(write)
            raise
        finally:
            os.close(read)
        return cls(process, write)

    async def dismiss(self) -> None:
        """The group has ended. The guard goes first: at the pipe's end it would kill whoever has that number then."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        os.close(self._pipe)


class ChildProcess:
    """A running child that leads its own process group. Its stdout and stderr are pipes for the log."""

    def __init__(self, process: asyncio.subprocess.Process, stdout_fd: int, stderr_fd: int) -> None:
        self._process = process
        self.stdout_fd = stdout_fd
        self.stderr_fd = stderr_fd
        self._guard: GroupGuard | None = None

    @classmethod
    async def spawn(cls, command: Sequence[str], env: Mapping[str, str], cwd: str | None) -> Self:
        """Start `command`. Raise `CannotStartError` when the system refuses.

        The pipes are ours, not asyncio's, so that the log is read in large pieces and can outlive the process.
        """
        ends: list[int] = []
        try:
            for _ in range(2):
                ends += os.pipe()
            out_read, out_write, err_read, err_write = ends
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
            for end in ends:
                os.close(end)
            retry = isinstance(error, OSError) and error.errno in PASSING
            raise CannotStartError(f"cannot run {command[0]}: {error}", retry=retry) from None
        os.close(out_write)
        os.close(err_write)
        child = cls(process, out_read, err_read)
        try:
            child._guard = await GroupGuard.post(child.pid)
        except OSError as error:
            logger.warning(
                "no guard over llama-server ({}): if the exporter is killed, a grandchild may be left running", error
            )
        return child

    @property
    def pid(self) -> int:
        """PID of the child, which is also the ID of its process group."""
        return self._process.pid

    async def wait(self) -> Exit:
        """Wait for the exit, reap, and kill what is left of the group: nothing of a dead server is left running."""
        returncode = await self._process.wait()
        self.signal_group(signal.SIGKILL)
        if self._guard is not None:
            await self._guard.dismiss()
        return Exit.of(returncode)

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to every process of the group; a group that has ended already is fine."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            # macOS says EPERM for a group that holds only zombies.
            return


def reap_orphans(own: Callable[[], int | None]) -> list[int]:
    """Reap, as PID 1 in a container, every dead child but llama-server itself (`own`), which the supervisor waits for.

    Returns the PIDs. To be called on SIGCHLD; several deaths may come as one signal.
    """
    reaped = []
    for child in psutil.Process().children():
        if child.pid == own():
            continue
        try:
            if child.status() == psutil.STATUS_ZOMBIE and os.waitpid(child.pid, os.WNOHANG)[0]:
                reaped.append(child.pid)
        except (psutil.NoSuchProcess, ChildProcessError):
            continue
    return reaped
