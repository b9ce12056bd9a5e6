"""Changes of the server and its models: an event in the log for each, and word to the parts that depend on it."""

from collections.abc import Callable

from exporter.llama.api import IN_MEMORY, ModelState
from exporter.llama.models import KnownModel
from exporter.logs.output import LogOutput
from exporter.logs.record import Level
from exporter.supervisor.states import Snapshot, State


class ServerEvents:
    """Observes the supervisor.

    `changed` is called at every change of state, `ended` when the process has ended; `show` gets every snapshot.
    """

    def __init__(
        self,
        log: LogOutput,
        *,
        changed: Callable[[], None],
        ended: Callable[[], None],
        show: Callable[[Snapshot], None],
    ) -> None:
        self._log = log
        self._show = show
        self._state_changed = changed
        self._ended = ended

    def __call__(self, before: Snapshot, after: Snapshot) -> None:
        """Announce the change from `before` to `after`."""
        self._show(after)
        if before.pid is not None and after.pid is None:
            self._ended()
            self._exited(before, after)
        if after.state is before.state:
            if after.state is State.STOPPING and after.reason and after.reason != before.reason:
                self._log.event("server_stopping", f"llama-server is stopping: {after.reason}", pid=after.pid)
            if after.state is State.BACKOFF and after.reason != before.reason:
                self._changed(before, after)  # the next try failed, too
            return
        self._changed(before, after)
        self._state_changed()

    def _exited(self, before: Snapshot, after: Snapshot) -> None:
        exit_ = after.last_exit
        if exit_ is None:
            return
        wanted = before.state is State.STOPPING
        level: Level = "info" if wanted else "error"
        self._log.event(
            "server_exited",
            f"llama-server {exit_}",
            level=level,
            pid=before.pid,
            code=exit_.code,
            signal=exit_.signal,
            cause=after.last_exit_cause,
        )

    def _changed(self, before: Snapshot, after: Snapshot) -> None:
        match after.state:
            case State.STARTING:
                self._log.event("server_started", f"llama-server started, PID {after.pid}", pid=after.pid)
            case State.READY:
                seconds = (
                    None if after.ready is None or after.started is None else round(after.ready - after.started, 3)
                )
                self._log.event("server_ready", "llama-server is ready", pid=after.pid, seconds=seconds)
            case State.UNRESPONSIVE:
                self._log.event(
                    "server_unresponsive", after.reason or "it does not answer", level="warn", pid=after.pid
                )
            case State.BACKOFF:
                self._log.event("server_restarting", after.reason or "restarting", level="warn")
            case State.FAILED:
                self._log.event("server_failed", after.reason or "failed", level="error")
            case State.STOPPED if after.reason:
                self._log.event("server_stopped", after.reason, level="warn")
            case _:
                self._log.event(f"server_{after.state}", f"llama-server is {after.state}", previous=before.state)


class ModelEvents:
    """Observes the list of models: an event for each change of a state that somebody would look for."""

    def __init__(self, log: LogOutput) -> None:
        self._log = log

    def __call__(self, entry: KnownModel, before: ModelState | None) -> None:
        """Announce the change."""
        name = entry.name
        match entry.state:
            case ModelState.LOADED if before is ModelState.SLEEPING:
                self._log.event("model_loaded", f"model {name} woke up", model=name)
            case ModelState.LOADED if before is not None:
                seconds = None if entry.load_seconds is None else round(entry.load_seconds, 3)
                self._log.event("model_loaded", f"model {name} is loaded", model=name, seconds=seconds)
            case ModelState.SLEEPING:
                self._log.event("model_sleeping", f"model {name} fell asleep", model=name)
            case ModelState.UNLOADED if before in IN_MEMORY:
                self._log.event("model_unloaded", f"model {name} is unloaded", model=name)
            case ModelState.FAILED if before is not None:
                how = "ended" if before in IN_MEMORY else "could not be loaded: its process ended"
                self._log.event(
                    "model_failed",
                    f"model {name} {how} with code {entry.exit_code}",
                    level="error",
                    model=name,
                    exit_code=entry.exit_code,
                )

    def stalled(self, name: str, seconds: float | None) -> None:
        """Announce that requests of a router's model do not get on, for so long, or (None) that they do again."""
        if seconds is None:
            self._log.event("model_resumed", f"the requests of model {name} get on again", model=name)
        else:
            message = f"model {name}: requests have been running for {seconds:.0f} s without a token or CPU use"
            self._log.event("model_stalled", message, level="warn", model=name, seconds=round(seconds, 3))
