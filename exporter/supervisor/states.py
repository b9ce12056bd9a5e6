"""The states of a supervised llama-server, every legal change between them, and what is known of it now."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from exporter.supervisor.process import Exit


class State(StrEnum):
    """What llama-server is doing now, whatever it should be doing."""

    STOPPED = "stopped"
    """No process, and none is wanted."""
    STARTING = "starting"
    """The process runs and its port does not answer yet."""
    LOADING = "loading"
    """The port answers 503: the model is being loaded."""
    READY = "ready"
    """`/health` answers 200."""
    UNRESPONSIVE = "unresponsive"
    """The process runs, was ready, and has not answered `/health` for longer than `health.unresponsive_after`."""
    STOPPING = "stopping"
    """SIGTERM was sent; SIGKILL follows after `stop_timeout`."""
    BACKOFF = "backoff"
    """It ended or could not start; the next try is due soon."""
    FAILED = "failed"
    """It could not be kept running, and nothing more is tried until somebody asks."""


S = State
EDGES: dict[State, frozenset[State]] = {
    S.STOPPED: frozenset({S.STARTING, S.BACKOFF, S.FAILED}),
    S.STARTING: frozenset({S.LOADING, S.READY, S.STOPPING, S.BACKOFF, S.FAILED, S.STOPPED}),
    S.LOADING: frozenset({S.READY, S.STOPPING, S.BACKOFF, S.FAILED, S.STOPPED}),
    S.READY: frozenset({S.LOADING, S.UNRESPONSIVE, S.STOPPING, S.BACKOFF, S.FAILED, S.STOPPED}),
    S.UNRESPONSIVE: frozenset({S.LOADING, S.READY, S.STOPPING, S.BACKOFF, S.FAILED, S.STOPPED}),
    S.STOPPING: frozenset({S.STOPPED, S.STARTING, S.BACKOFF, S.FAILED}),
    S.BACKOFF: frozenset({S.STARTING, S.STOPPED, S.FAILED}),
    S.FAILED: frozenset({S.STARTING, S.STOPPED, S.BACKOFF}),
}
"""From each state, the states that may follow. `failed` and `backoff` straight from `stopped` are starts that were
refused before a process existed (no binary, port in use)."""

RUNNING = frozenset({S.STARTING, S.LOADING, S.READY, S.UNRESPONSIVE, S.STOPPING})
"""The states in which a process exists."""


class IllegalEdgeError(Exception):
    """A change of state that the table does not have: a bug in the supervisor."""


def check_edge(before: State, after: State) -> None:
    """Raise `IllegalEdgeError` unless the table has the edge."""
    if after not in EDGES[before]:
        raise IllegalEdgeError(f"{before} -> {after}")


RestartReason = Literal["crash", "unresponsive", "requested", "config"]
RESTART_REASONS: tuple[RestartReason, ...] = ("crash", "unresponsive", "requested", "config")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known about the server now. Collectors and the API read it; nobody but the supervisor replaces it.

    `run` counts the processes that were started: it names the present or the last one. `started` and `ready` are
    monotonic times of this process; `started_at` is wall clock, in seconds since the epoch. `reason` says in a sentence
    why the state is what it is, where that is not plain. `restarts` and `exits` are counts by reason and by exit code
    or signal name. `last_exit_cause` is the likely cause by name, where log or signal show it.
    """

    state: State = State.STOPPED
    desired: bool = False
    run: int = 0
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
"""Called at every change: (before, after)."""


class Status:
    """Holds the snapshot; `observe` is called at every change of it."""

    def __init__(self, observe: Observer) -> None:
        self.snapshot = Snapshot()
        self._observe = observe

    def enter(self, state: State, **changes: object) -> None:
        """Change the state, and other fields with it. Raise `IllegalEdgeError` for a change that the table lacks."""
        if state is not self.snapshot.state:
            check_edge(self.snapshot.state, state)
        self.change(state=state, **changes)

    def change(self, **changes: object) -> None:
        """Change fields other than the state."""
        before = self.snapshot
        self.snapshot = replace(before, **changes)  # type: ignore[arg-type]
        if self.snapshot != before:
            self._observe(before, self.snapshot)

    def count_restart(self, reason: RestartReason) -> None:
        """Count a restart for this reason."""
        self.change(restarts=counted(self.snapshot.restarts, reason))

    def process_ended(self, exit_: Exit, lines: tuple[str, ...], cause: str | None) -> None:
        """The process has ended: how, after which last lines of its log, and from which likely cause."""
        self.change(
            pid=None,
            started=None,
            started_at=None,
            ready=None,
            last_exit=exit_,
            last_exit_lines=lines,
            last_exit_cause=cause,
            exits=counted(self.snapshot.exits, exit_.label),
        )


def counted(counts: tuple[tuple[str, int], ...], key: str) -> tuple[tuple[str, int], ...]:
    """Return `counts` with one more of `key`."""
    found = dict(counts)
    found[key] = found.get(key, 0) + 1
    return tuple(found.items())
