"""The states of a supervised llama-server and every legal change between them. Imports nothing of the project."""

from enum import StrEnum


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
