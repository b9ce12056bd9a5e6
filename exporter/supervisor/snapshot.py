"""What others may know of the supervisor and tell it: the policy in, the snapshot out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from exporter.supervisor.process import Exit
from exporter.supervisor.states import State

RestartReason = Literal["crash", "unresponsive", "requested", "config"]
RESTART_REASONS: tuple[RestartReason, ...] = ("crash", "unresponsive", "requested", "config")


@dataclass(frozen=True, slots=True)
class Policy:
    """How to keep the server running; times in seconds. The meaning of each is that of the configuration key."""

    restart: Literal["always", "on-failure", "never"]
    start_timeout: float
    stop_timeout: float
    health_interval: float
    unresponsive_after: float
    unresponsive_action: Literal["restart", "report"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known about the server now. Collectors and the API read it; nobody but the supervisor replaces it.

    `started` and `ready` are monotonic times of this process; `started_at` is wall clock, in seconds since the epoch.
    `reason` says in a sentence why the state is what it is, where that is not plain. `restarts` and `exits` are counts
    by reason and by exit code or signal name. `last_exit_cause` is the likely cause by name, where log or signal tell.
    """

    state: State = State.STOPPED
    desired: bool = False
    pid: int | None = None
    started: float | None = None
    started_at: float | None = None
    ready: float | None = None
    reason: str | None = None
    last_exit: Exit | None = None
    last_exit_lines: tuple[str, ...] = ()
    last_exit_cause: str | None = None
    restarts: tuple[tuple[str, int], ...] = tuple((reason, 0) for reason in RESTART_REASONS)
    exits: tuple[tuple[str, int], ...] = ()


Observer = Callable[[Snapshot, Snapshot], None]
"""Told of every change: (before, after)."""


def counted(counts: tuple[tuple[str, int], ...], key: str) -> tuple[tuple[str, int], ...]:
    """`counts` with one more of `key`."""
    found = dict(counts)
    found[key] = found.get(key, 0) + 1
    return tuple(found.items())
