"""What parts tell each other: changes of states, as events in the log and words to those who must forget; requests."""

from collections.abc import Callable

from exporter.llama.models import Models
from exporter.llama.roster import IN_MEMORY, Entry, ModelState
from exporter.logs.output import LogOutput
from exporter.logs.record import Level
from exporter.logs.server_log import ServerLog
from exporter.supervisor.snapshot import Snapshot
from exporter.supervisor.states import State


class Lifecycle:
    """An observer of the supervisor.

    `changed` is called at every change of state, `gone` when the process ends, or an attached one is silent; `show`
    gets every snapshot.
    """

    def __init__(
        self,
        log: LogOutput,
        *,
        changed: Callable[[], None],
        gone: Callable[[], None],
        show: Callable[[Snapshot], None],
    ) -> None:
        self._log = log
        self._show = show
        self._hint = changed
        self._server_gone = gone

    def __call__(self, before: Snapshot, after: Snapshot) -> None:
        """Tell of the change from `before` to `after`."""
        self._show(after)
        if after.last_exit is not None and before.pid is not None and after.pid is None:
            self._server_gone()
            self._exited(before, after)
        if after.state is before.state:
            if after.state is State.STOPPING and after.reason and after.reason != before.reason:
                self._log.event("server_stopping", f"llama-server is stopping: {after.reason}", pid=after.pid)
            return
        if before.state is State.READY and after.pid is None:
            self._server_gone()
        self._changed(before, after)
        self._hint()

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
    """An observer of the roster: a line for each change of a model's state that somebody would look for."""

    def __init__(self, log: LogOutput) -> None:
        self._log = log

    def __call__(self, entry: Entry, before: ModelState | None) -> None:
        """Tell of the change."""
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


class Requests:
    """What the supervisor may know of the requests in llama-server."""

    def __init__(self, models: Models, log: ServerLog) -> None:
        self._models = models
        self._log = log

    @property
    def running(self) -> int:
        """Requests that a slot works on now."""
        return self._models.running

    def stalled(self) -> float:
        """Seconds for which requests have been running while neither a token nor a log line came; 0 otherwise."""
        return self._models.stalled(self._log.heard_at)
