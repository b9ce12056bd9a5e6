"""Watch a llama-server that something else runs: the same snapshot as the supervisor's, and nothing done about it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from exporter.llama.client import Health
from exporter.supervisor.snapshot import Observer, Snapshot
from exporter.supervisor.states import State


class AttachedServer:
    """Asks for health every `interval` seconds. It is wanted to run; that it does not answer is `stopped`."""

    def __init__(self, *, probe: Callable[[], Awaitable[Health]], interval: float, url: str, observe: Observer) -> None:
        self._probe = probe
        self._interval = interval
        self._url = url
        self._observe = observe
        self._snapshot = Snapshot(desired=True, reason=f"{url} has not been asked yet")
        self._closed = asyncio.Event()

    @property
    def snapshot(self) -> Snapshot:
        """What is known now."""
        return self._snapshot

    def start(self) -> None:
        """Nothing to do: it is not ours to start."""

    def close(self) -> None:
        """Let `run` return. The server goes on."""
        self._closed.set()

    async def run(self) -> None:
        """Watch until `close`."""
        while not self._closed.is_set():
            self._judge(await self._probe())
            try:
                await asyncio.wait_for(self._closed.wait(), self._interval)
            except TimeoutError:
                continue

    def _judge(self, health: Health) -> None:
        state, reason = {
            Health.OK: (State.READY, None),
            Health.LOADING: (State.LOADING, None),
            Health.ERROR: (State.UNRESPONSIVE, f"{self._url}/health answers neither 200 nor 503"),
            Health.NO_ANSWER: (State.STOPPED, f"nothing answers at {self._url}"),
        }[health]
        before = self._snapshot
        self._snapshot = replace(before, state=state, reason=reason)
        if state is State.READY and before.ready is None:
            self._snapshot = replace(self._snapshot, ready=time.monotonic())
        elif state is not State.READY:
            self._snapshot = replace(self._snapshot, ready=None)
        if self._snapshot != before:
            self._observe(before, self._snapshot)
