"""As PID 1 in a container, take the zombies that are re-parented to us, as an init does."""

import os
from collections.abc import Callable

import psutil


def reap_orphans(own: Callable[[], int | None]) -> list[int]:
    """Reap every dead child but llama-server itself (`own`), whose exit code the supervisor is waiting for.

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
