"""The one task that owns llama-server's process: starts it, lives with it, and decides what follows its end."""

import time
from collections.abc import Awaitable, Callable

from exporter.llama.client import Health
from exporter.supervisor.activity import Activity, Unknown
from exporter.supervisor.backoff import Backoff
from exporter.supervisor.exit_causes import likely_cause, oom_kills
from exporter.supervisor.life import Care, Life
from exporter.supervisor.process import CannotStartError, ChildProcess, Exit
from exporter.supervisor.record import Record
from exporter.supervisor.snapshot import Observer, Policy, RestartReason, Snapshot
from exporter.supervisor.states import RUNNING, State
from exporter.supervisor.wishes import Wishes


class Supervisor:
    """Keeps one process in the state that is wanted.

    `spawn` starts it (and may refuse with `CannotStartError`), `probe` asks for its health, `observe` is told of every
    change, `last_lines` gives the end of its log. `start`, `stop` and `restart` may be called from the event loop at
    any time; they only leave a wish, which `run` fulfils.
    """

    def __init__(
        self,
        *,
        spawn: Callable[[], Awaitable[ChildProcess]],
        probe: Callable[[], Awaitable[Health]],
        policy: Policy,
        backoff: Backoff,
        observe: Observer,
        last_lines: Callable[[], tuple[str, ...]] = tuple,
        activity: Activity | None = None,
        oom_kills: Callable[[], int] = oom_kills,
    ) -> None:
        self._spawn = spawn
        self._care = Care(probe, activity or Unknown(), policy, backoff)
        self._record = Record(observe)
        self._wishes = Wishes()
        self._last_lines = last_lines
        self._oom_kills = oom_kills

    @property
    def snapshot(self) -> Snapshot:
        """What is known now."""
        return self._record.snapshot

    def configure(self, policy: Policy, backoff: Backoff) -> None:
        """Go on with another policy; failures are counted from none."""
        self._care.policy, self._care.backoff = policy, backoff

    def start(self) -> None:
        """Want the server running. Leaves `failed` and cuts a backoff short."""
        self._care.backoff.forget()
        self._record.change(desired=True)
        self._wishes.made()

    def stop(self) -> None:
        """Want the server stopped."""
        self._wishes.restart = None
        self._record.change(desired=False)
        self._wishes.made()

    def restart(self, reason: RestartReason) -> None:
        """Want a new process in place of the running one; the same as `start` when none runs."""
        if self.snapshot.state in RUNNING:
            self._wishes.restart = reason
        self.start()

    def close(self) -> None:
        """Want the server stopped and `run` to return; called again, kill it at once."""
        self._wishes.hurry = self._wishes.closing
        self._wishes.closing = True
        self.stop()

    async def run(self) -> None:
        """Own the process until `close`."""
        while True:
            self._wishes.all_seen()
            if self.snapshot.desired:
                await self._start_and_live()
                continue
            if self.snapshot.state is not State.STOPPED:
                self._record.enter(State.STOPPED, reason=None)
            if self._wishes.closing:
                return
            await self._wishes.wait()

    async def _start_and_live(self) -> None:
        """One process, from the try to start it until the next may be tried."""
        try:
            child = await self._spawn()
        except CannotStartError as error:
            await self._after_failure(str(error), retry=error.retry)
            return
        kills_before = self._oom_kills()
        exit_, ending = await Life(child, self._record, self._wishes, self._care).run()
        lines = self._last_lines()
        cause = likely_cause(exit_, lines, self._oom_kills() - kills_before)
        self._record.process_ended(exit_, lines, None if cause is None else cause[0])
        if not self.snapshot.desired:
            return
        if ending is None:
            await self._after_crash(exit_, None if cause is None else cause[1])
        elif ending.why is not None and ending.restart is not None:
            await self._after_failure(ending.why, retry=True, restart=ending.restart)
        elif ending.restart is not None:
            self._record.count_restart(ending.restart)

    async def _after_crash(self, exit_: Exit, advice: str | None) -> None:
        """It ended although it was wanted."""
        how = f"it {exit_} ({advice})" if advice else f"it {exit_}"
        policy = self._care.policy.restart
        if exit_.code == 0 and policy != "always":
            self._record.enter(State.STOPPED, desired=False, reason=f"{how}; server.restart.policy is {policy}")
        elif policy == "never":
            await self._after_failure(f"{how}; server.restart.policy is never", retry=False)
        else:
            await self._after_failure(how, retry=True, restart="crash")

    async def _after_failure(self, reason: str, *, retry: bool, restart: RestartReason | None = None) -> None:
        """Wait for the next try, or give up; in both cases until somebody wishes something."""
        delay = self._care.backoff.failed(time.monotonic()) if retry else None
        if delay is None:
            self._record.enter(State.FAILED, reason=f"{reason}; gave up after repeated failures" if retry else reason)
            await self._wishes.wait()
            return
        self._record.enter(State.BACKOFF, reason=f"{reason}; next try in {delay:.1f} s")
        await self._wishes.wait(within=delay)
        if restart is not None and self.snapshot.desired:
            self._record.count_restart(restart)
