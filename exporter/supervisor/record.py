"""The snapshot and its one writer: every change of state is checked against the table, every change is told."""

from dataclasses import replace

from exporter.supervisor.process import Exit
from exporter.supervisor.snapshot import Observer, RestartReason, Snapshot, counted
from exporter.supervisor.states import State, check_edge


class Record:
    """What is known of the server now; `observe` is told of every change."""

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
        """One more restart for this reason."""
        self.change(restarts=counted(self.snapshot.restarts, reason))

    def process_ended(self, exit_: Exit, lines: tuple[str, ...], cause: str | None) -> None:
        """The process is gone: how, after which last lines of its log, and from which likely cause."""
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
