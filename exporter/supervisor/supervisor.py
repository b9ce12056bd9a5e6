"""The one task that owns llama-server's process and is the only writer of its state."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import NamedTuple

from exporter.llama.client import Health
from exporter.supervisor.activity import Activity, Unknown
from exporter.supervisor.backoff import Backoff
from exporter.supervisor.causes import likely_cause
from exporter.supervisor.health import judge, overdue
from exporter.supervisor.oom import oom_kills
from exporter.supervisor.process import CannotStartError, ChildProcess, Exit
from exporter.supervisor.snapshot import Observer, Policy, RestartReason, Snapshot, counted
from exporter.supervisor.states import RUNNING, State, check_edge

HEALTHY_AFTER = 60.0
"""Seconds of readiness after which a crash counts as the first one again."""


NO_PROCESS: dict[str, object] = {"pid": None, "started": None, "started_at": None, "ready": None}
STOP_REPORT_INTERVAL = 1.0
"""Seconds between two looks at how many requests a stop waits for."""


class _Ending(NamedTuple):
    """Why we ended the process: to replace it (`restart`), or because it is unwanted (None)."""

    restart: RestartReason | None
    why: str | None = None


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
        self._probe = probe
        self._policy = policy
        self._backoff = backoff
        self._observe = observe
        self._last_lines = last_lines
        self._activity = activity or Unknown()
        self._oom_kills = oom_kills
        self._snapshot = Snapshot()
        self._wish = asyncio.Event()
        self._restart_wish: RestartReason | None = None
        self._hurry = False
        self._closing = False

    @property
    def snapshot(self) -> Snapshot:
        """What is known now."""
        return self._snapshot

    def configure(self, policy: Policy, backoff: Backoff) -> None:
        """Go on with another policy; failures are counted from none."""
        self._policy = policy
        self._backoff = backoff

    def start(self) -> None:
        """Want the server running. Leaves `failed` and cuts a backoff short."""
        self._backoff.forget()
        self._set(desired=True)
        self._wish.set()

    def stop(self) -> None:
        """Want the server stopped."""
        self._restart_wish = None
        self._set(desired=False)
        self._wish.set()

    def restart(self, reason: RestartReason) -> None:
        """Want a new process in place of the running one; the same as `start` when none runs."""
        if self._snapshot.state in RUNNING:
            self._restart_wish = reason
        self.start()

    def close(self) -> None:
        """Want the server stopped and `run` to return; called again, kill it at once."""
        self._hurry = self._closing
        self._closing = True
        self.stop()

    async def run(self) -> None:
        """Own the process until `close`."""
        while True:
            self._wish.clear()
            if self._snapshot.desired:
                await self._start_and_live()
                continue
            if self._snapshot.state is not State.STOPPED:
                self._enter(State.STOPPED, reason=None)
            if self._closing:
                return
            await self._wish.wait()

    async def _start_and_live(self) -> None:
        """One process, from the try to start it until the next may be tried."""
        try:
            child = await self._spawn()
        except CannotStartError as error:
            await self._after_failure(str(error), retry=error.retry)
            return
        now, kills_before = time.monotonic(), self._oom_kills()
        self._enter(State.STARTING, pid=child.pid, started=now, started_at=time.time(), ready=None, reason=None)
        ended = asyncio.create_task(child.wait())
        try:
            ending = await self._watch(child, ended)
        finally:
            if not ended.done():  # cancelled from outside: no process may stay even then
                child.signal_group(signal.SIGKILL)
        exit_, lines = await ended, self._last_lines()
        cause = likely_cause(exit_, lines, self._oom_kills() - kills_before)
        self._set(
            **NO_PROCESS,
            last_exit=exit_,
            last_exit_lines=lines,
            last_exit_cause=None if cause is None else cause[0],
            exits=counted(self._snapshot.exits, exit_.label),
        )
        if not self._snapshot.desired:
            return
        if ending is None:
            await self._after_crash(exit_, None if cause is None else cause[1])
        elif ending.why is not None and ending.restart is not None:
            await self._after_failure(ending.why, retry=True, restart=ending.restart)
        elif ending.restart is not None:
            self._count_restart(ending.restart)

    async def _watch(self, child: ChildProcess, ended: asyncio.Task[Exit]) -> _Ending | None:
        """Follow the health of `child` until we ended it, or it ended by itself (None)."""
        answered = time.monotonic()
        while not ended.done():
            if self._restart_wish is not None or not self._snapshot.desired:
                reason, self._restart_wish = self._restart_wish, None
                await self._terminate(child, ended)
                return _Ending(reason)
            probe = asyncio.create_task(self._probe_after_pause())
            await self._first_of(ended, probe)
            if ended.done() or not probe.done():
                probe.cancel()
                continue
            health, now = probe.result(), time.monotonic()
            if health is not Health.NO_ANSWER:
                answered = now
            self._follow(health, now, answered)
            if why := overdue(self._snapshot, now, self._policy):
                await self._terminate(child, ended)
                return _Ending("unresponsive", why)
        return None

    async def _first_of(self, *tasks: asyncio.Task[Exit] | asyncio.Task[Health], within: float | None = None) -> None:
        """Wait until one of `tasks` is done, somebody wishes something, or `within` seconds are over."""
        wish = asyncio.create_task(self._wish.wait())
        await asyncio.wait({*tasks, wish}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        wish.cancel()
        self._wish.clear()

    async def _probe_after_pause(self) -> Health:
        """Ask for health in a while; soon while it starts, so that readiness is seen when it happens."""
        starting = self._snapshot.state in (State.STARTING, State.LOADING)
        await asyncio.sleep(min(0.1, self._policy.health_interval) if starting else self._policy.health_interval)
        return await self._probe()

    def _follow(self, health: Health, now: float, answered: float) -> None:
        """Turn one answer into a state."""
        snapshot = self._snapshot
        verdict = judge(snapshot.state, health, now - answered, self._activity.stalled(), self._policy)
        if verdict is not None:
            ready = (snapshot.ready or now) if verdict.state is State.READY else snapshot.ready
            self._enter(verdict.state, reason=verdict.reason, ready=ready)
        if health is Health.OK and now - (snapshot.ready or now) >= HEALTHY_AFTER:
            self._backoff.healthy()

    async def _terminate(self, child: ChildProcess, ended: asyncio.Task[Exit]) -> None:
        """SIGTERM, then SIGKILL of the whole group after `stop_timeout` or when somebody is in a hurry."""
        self._enter(State.STOPPING, reason=None)
        child.signal_group(signal.SIGTERM)
        deadline = time.monotonic() + self._policy.stop_timeout
        while not ended.done() and not self._hurry and (left := deadline - time.monotonic()) > 0:
            if running := self._activity.running:
                self._set(reason=f"waiting for {running} running request{'s' * (running > 1)}")
            await self._first_of(ended, within=min(left, STOP_REPORT_INTERVAL))
        if not ended.done():
            child.signal_group(signal.SIGKILL)
            await ended

    async def _after_crash(self, exit_: Exit, advice: str | None) -> None:
        """It ended although it was wanted."""
        how = f"it {exit_} ({advice})" if advice else f"it {exit_}"
        policy = self._policy.restart
        if exit_.code == 0 and policy != "always":
            self._enter(State.STOPPED, desired=False, reason=f"{how}; server.restart.policy is {policy}")
        elif policy == "never":
            await self._after_failure(f"{how}; server.restart.policy is never", retry=False)
        else:
            await self._after_failure(how, retry=True, restart="crash")

    async def _after_failure(self, reason: str, *, retry: bool, restart: RestartReason | None = None) -> None:
        """Wait for the next try, or give up; in both cases until somebody wishes something."""
        delay = self._backoff.failed(time.monotonic()) if retry else None
        if delay is None:
            self._enter(State.FAILED, reason=f"{reason}; gave up after repeated failures" if retry else reason)
            await self._first_of()
            return
        self._enter(State.BACKOFF, reason=f"{reason}; next try in {delay:.1f} s")
        await self._first_of(within=delay)
        if restart is not None and self._snapshot.desired:
            self._count_restart(restart)

    def _count_restart(self, reason: RestartReason) -> None:
        self._set(restarts=counted(self._snapshot.restarts, reason))

    def _enter(self, state: State, **changes: object) -> None:
        if state is not self._snapshot.state:
            check_edge(self._snapshot.state, state)
        self._set(state=state, **changes)

    def _set(self, **changes: object) -> None:
        before = self._snapshot
        self._snapshot = replace(before, **changes)  # type: ignore[arg-type]
        if self._snapshot != before:
            self._observe(before, self._snapshot)
