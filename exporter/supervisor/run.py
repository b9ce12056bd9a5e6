"""One process of llama-server, from its start to its end, and what its answers or its silence mean."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from exporter.llama.api import Health
from exporter.supervisor.policy import Backoff, Policy
from exporter.supervisor.process import ChildProcess, Exit
from exporter.supervisor.states import RestartReason, Snapshot, State, Status


class Verdict(NamedTuple):
    """The state to change to, and why where that is not plain."""

    state: State
    reason: str | None = None


def judge(state: State, health: Health, unwell: float, stalled: float, policy: Policy) -> Verdict | None:
    """Return what follows from one answer to `/health`, None when nothing changes.

    `unwell` is for how many seconds it has answered neither 200 nor 503, `stalled` for how many requests have been
    running without progress: `/health` answers from a thread of its own and can be well while the decoding is not.
    """
    limit = policy.unresponsive_after
    match health:
        case Health.OK if state in (State.READY, State.UNRESPONSIVE) and stalled >= limit:
            return Verdict(
                State.UNRESPONSIVE,
                f"requests have been running for {stalled:.0f} s without a token, a log line or CPU use",
            )
        case Health.OK if state is not State.READY:
            return Verdict(State.READY)
        case Health.LOADING if state is not State.LOADING:
            return Verdict(State.LOADING)
        case Health.NO_ANSWER if state is State.READY and unwell >= limit:
            return Verdict(State.UNRESPONSIVE, f"/health has not answered for {unwell:.0f} s")
        case Health.ERROR if state is State.READY and unwell >= limit:
            return Verdict(State.UNRESPONSIVE, f"/health has answered errors for {unwell:.0f} s")
    return None


def overdue(snapshot: Snapshot, loading: float, now: float, policy: Policy) -> str | None:
    """Return why the process has to be killed, if it has: a load that takes too long, or a hang.

    `loading` is for how many seconds a server that was ready has been loading again; it may do so as long as a start
    takes. With `health.action: report` only a first load is limited.
    """
    waited = now - (snapshot.started or now)
    if snapshot.ready is None:
        if waited >= policy.start_timeout:
            return f"it was not ready {waited:.0f} s after its start (server.start_timeout)"
    elif policy.unresponsive_action == "restart":
        if snapshot.state is State.UNRESPONSIVE:
            return snapshot.reason
        if loading >= policy.start_timeout:
            return f"it was ready and has been loading again for {loading:.0f} s (server.start_timeout)"
    return None


HEALTHY_AFTER = 60.0
"""Seconds of readiness after which a crash counts as the first one again."""
STOP_REPORT_INTERVAL = 1.0
"""Seconds between two looks at how many requests a stop waits for."""


class RequestActivity(Protocol):
    """Requests in the server, and whether they get on."""

    @property
    def running(self) -> int:
        """Requests that a slot works on now."""
        ...

    async def stalled(self, limit: float) -> float:
        """Return seconds for which requests have been running without progress, 0 otherwise; `limit` is too many."""
        ...


class Wait(Protocol):
    """Waits for a command, for one of `tasks`, or `within` seconds; commands are in force when it returns."""

    async def __call__(self, *tasks: asyncio.Task[Any], within: float | None = None) -> None:
        """Wait."""
        ...


class Ending(NamedTuple):
    """Why we ended the process: to replace it (`restart`), or because it is unwanted (None)."""

    restart: RestartReason | None
    why: str | None = None


@dataclass(slots=True)
class Control:
    """How the process is looked after; the supervisor changes it when commands come."""

    probe: Callable[[], Awaitable[Health]]
    progress: RequestActivity
    policy: Policy
    backoff: Backoff
    wait: Wait
    replace: RestartReason | None = None
    """Why the running process is to be replaced; None when it is not."""
    hurry: bool = False
    """A process that is being stopped is to be killed."""


class ProcessRun:
    """Follows the health of `child`, which becomes the state, and ends it when it is unwanted or hangs."""

    def __init__(self, child: ChildProcess, status: Status, control: Control) -> None:
        self._child = child
        self._status = status
        self._control = control
        self._loading_since: float | None = None

    async def until_exit(self) -> tuple[Exit, Ending | None]:
        """Supervise until the exit; return how it ended, and why we ended it (None: it ended by itself)."""
        now = time.monotonic()
        run, pid = self._status.snapshot.run + 1, self._child.pid
        self._control.replace = None
        self._status.enter(
            State.STARTING, run=run, pid=pid, started=now, started_at=time.time(), ready=None, reason=None
        )
        ended = asyncio.create_task(self._child.wait())
        try:
            ending = await self._watch(ended)
        finally:
            if not ended.done():  # cancelled from outside: no process may stay even then
                self._child.signal_group(signal.SIGKILL)
        return await ended, ending

    async def _watch(self, ended: asyncio.Task[Exit]) -> Ending | None:
        """Follow its health until we ended it, or it ended by itself (None)."""
        well_at = time.monotonic()
        while not ended.done():
            if self._control.replace is not None or not self._status.snapshot.desired:
                reason, self._control.replace = self._control.replace, None
                await self._terminate(ended)
                return Ending(reason)
            probe = asyncio.create_task(self._probe_after_pause())
            await self._control.wait(ended, probe)
            if ended.done() or not probe.done():
                probe.cancel()
                continue
            (health, stalled), now = probe.result(), time.monotonic()
            if health in (Health.OK, Health.LOADING):
                well_at = now
            self._follow(health, stalled, now, well_at)
            loading = now - (self._loading_since or now)
            if why := overdue(self._status.snapshot, loading, now, self._control.policy):
                await self._terminate(ended)
                return Ending("unresponsive", why)
        return None

    async def _probe_after_pause(self) -> tuple[Health, float]:
        """Request the health in a while; soon while it starts, so that readiness is seen when it happens."""
        starting = self._status.snapshot.state in (State.STARTING, State.LOADING)
        policy = self._control.policy
        await asyncio.sleep(min(0.1, policy.health_interval) if starting else policy.health_interval)
        return await self._control.probe(), await self._control.progress.stalled(policy.unresponsive_after)

    def _follow(self, health: Health, stalled: float, now: float, well_at: float) -> None:
        """Turn one answer into a state."""
        snapshot = self._status.snapshot
        verdict = judge(snapshot.state, health, now - well_at, stalled, self._control.policy)
        if verdict is not None:
            ready = (snapshot.ready or now) if verdict.state is State.READY else snapshot.ready
            self._status.enter(verdict.state, reason=verdict.reason, ready=ready)
            self._loading_since = now if verdict.state is State.LOADING else None
        if health is Health.OK and now - (snapshot.ready or now) >= HEALTHY_AFTER:
            self._control.backoff.healthy()

    async def _terminate(self, ended: asyncio.Task[Exit]) -> None:
        """SIGTERM, then SIGKILL of the whole group after `stop_timeout` or when somebody is in a hurry."""
        self._status.enter(State.STOPPING, reason=None)
        self._child.signal_group(signal.SIGTERM)
        deadline = time.monotonic() + self._control.policy.stop_timeout
        while not ended.done() and not self._control.hurry and (left := deadline - time.monotonic()) > 0:
            if running := self._control.progress.running:
                self._status.change(reason=f"waiting for {running} running request{'s' * (running > 1)}")
            await self._control.wait(ended, within=min(left, STOP_REPORT_INTERVAL))
        if not ended.done():
            self._child.signal_group(signal.SIGKILL)
            await ended
