"""The model that a process belongs to, as its own process or a descendant; or none (proc_pid_stat(5))."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

OTHER = "other"
"""Stands for all processes that belong to no model."""


class Owners:
    """Looks up from a process to its ancestors, so that only the processes in question cost anything.

    `processes` gives the PID of each model's process; of ancestors the nearest counts, since a router is the parent of
    its models. `root` is where `proc` is. Answers are kept: make a new one for each look.
    """

    def __init__(self, processes: Mapping[str, int], root: Path = Path("/")) -> None:
        # An unnamed model comes first, so that a name for the same process wins.
        self._known = {pid: model for model, pid in sorted(processes.items())}
        self._proc = f"{root}/proc"

    def of(self, pid: int) -> str | None:
        """Return the model, `OTHER`, or None without such a process here: it ended, or the PID is the host's."""
        path = [pid]
        while (owner := self._known.get(path[-1])) is None:
            parent = self._parent(path[-1])
            if parent is None and len(path) == 1:
                return None
            if not parent:  # the top, or one that ended meanwhile
                owner = OTHER
                break
            path.append(parent)
        self._known.update(dict.fromkeys(path, owner))
        return owner

    def _parent(self, pid: int) -> int | None:
        try:
            file = os.open(f"{self._proc}/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            stat = os.read(file, 1024)
        except OSError:
            return None  # ended between the two calls
        finally:
            os.close(file)
        # The name, in parentheses, may hold blanks and parentheses: state and parent follow the last one.
        return int(stat[stat.rfind(b")") + 1 :].split(maxsplit=2)[1])


def descendants(processes: Mapping[str, int], root: Path = Path("/")) -> dict[int, str]:
    """Return PIDs of the models' processes and of all their descendants, with the model. Reads no other process.

    Reads `/proc/PID/task/TID/children` (proc_pid_task(5)). Where the kernel has none, children are not found.
    """
    found = {pid: model for model, pid in sorted(processes.items())}
    waiting = list(found)
    while waiting:
        pid = waiting.pop()
        for child in _children(f"{root}/proc/{pid}/task"):
            if child not in found:
                found[child] = found[pid]
                waiting.append(child)
    return found


def _children(tasks: str) -> list[int]:
    children: list[int] = []
    try:
        threads = os.listdir(tasks)  # noqa: PTH208 -- Path.iterdir makes a Path of each, and there may be hundreds
    except OSError:
        return []
    for thread in threads:
        with suppress(OSError):  # the thread ended meanwhile
            file = os.open(f"{tasks}/{thread}/children", os.O_RDONLY | os.O_CLOEXEC)
            try:
                children += map(int, os.read(file, 1 << 16).split())
            finally:
                os.close(file)
    return children
