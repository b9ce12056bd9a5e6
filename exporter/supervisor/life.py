"""One process of llama-server, from its start to its end."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from exporter.llama.client import Health
from exporter.supervisor.activity import Activity
from exporter.supervisor.backoff import Backoff
from exporter.supervisor.health import judge, overdue
from exporter.supervisor.process import ChildProcess, Exit
from exporter.supervisor.record import Record
from exporter.supervisor.snapshot import Policy, RestartReason
from exporter.supervisor.states import State
from exporter.supervisor.wishes import Wishes

HEALTHY_AFTER = 60.0
"""Seconds of readiness after which a crash counts as the first one again."""
STOP_REPORT_INTERVAL = 1.0
"""Seconds between two looks at how many requests a stop waits for."""


class Ending(NamedTuple):
    """Why we ended the process: to replace it (`restart`), or because it is unwanted (None)."""

    restart: RestartReason | None
    why: str | None = None


@dataclass(slots=True)
class Care:
    """How a process is looked after; `policy` and `backoff` may be others from one moment to the next."""

    probe: Callable[[], Awaitable[Health]]
    activity: Activity
    policy: Policy
    backoff: Backoff


class Life:
    """Follows the health of `child`, which becomes the state on `record`, and ends it when it is unwanted or hangs."""

    def __init__(self, child: ChildProcess, record: Record, wishes: Wishes, care: Care) -> None:
        self._child = child
        self._record = record
        self._wishes = wishes
        self._care = care

    async def run(self) -> tuple[Exit, Ending | None]:
        """Live it: how it ended, and why we ended it (None: it ended by itself)."""
        now = time.monotonic()
        self._record.enter(
            State.STARTING, pid=self._child.pid, started=now, started_at=time.time(), ready=None, reason=None
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
        answered = time.monotonic()
        while not ended.done():
            if self._wishes.restart is not None or not self._record.snapshot.desired:
                reason, self._wishes.restart = self._wishes.restart, None
                await self._terminate(ended)
                return Ending(reason)
            probe = asyncio.create_task(self._probe_after_pause())
            await self._wishes.wait(ended, probe)
            if ended.done() or not probe.done():
                probe.cancel()
                continue
            health, now = probe.result(), time.monotonic()
            if health is not Health.NO_ANSWER:
                answered = now
            self._follow(health, now, answered)
            if why := overdue(self._record.snapshot, now, self._care.policy):
                await self._terminate(ended)
                return Ending("unresponsive", why)
        return None

    async def _probe_after_pause(self) -> Health:
        """Ask for health in a while; soon while it starts, so that readiness is seen when it happens."""
        starting = self._record.snapshot.state in (State.STARTING, State.LOADING)
        interval = self._care.policy.health_interval
        await asyncio.sleep(min(0.1, interval) if starting else interval)
        return await self._care.probe()

    def _follow(self, health: Health, now: float, answered: float) -> None:
        """Turn one answer into a state."""
        snapshot = self._record.snapshot
        verdict = judge(snapshot.state, health, now - answered, self._care.activity.stalled(), self._care.policy)
        if verdict is not None:
            ready = (snapshot.ready or now) if verdict.state is State.READY else snapshot.ready
            self._record.enter(verdict.state, reason=verdict.reason, ready=ready)
        if health is Health.OK and now - (snapshot.ready or now) >= HEALTHY_AFTER:
            self._care.backoff.healthy()

    async def _terminate(self, ended: asyncio.Task[Exit]) -> None:
        """SIGTERM, then SIGKILL of the whole group after `stop_timeout` or when somebody is in a hurry."""
        self._record.enter(State.STOPPING, reason=None)
        self._child.signal_group(signal.SIGTERM)
        deadline = time.monotonic() + self._care.policy.stop_timeout
        while not ended.done() and not self._wishes.hurry and (left := deadline - time.monotonic()) > 0:
            if running := self._care.activity.running:
                self._record.change(reason=f"waiting for {running} running request{'s' * (running > 1)}")
            await self._wishes.wait(ended, within=min(left, STOP_REPORT_INTERVAL))
        if not ended.done():
            self._child.signal_group(signal.SIGKILL)
            await ended
