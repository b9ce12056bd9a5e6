"""Watch a llama-server that something else runs: the same snapshot as the supervisor's, and nothing done about it."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from exporter.llama.api import Health
from exporter.supervisor.states import Observer, Snapshot, State, Status


class AttachedServer:
    """Requests the health of the server at `url` every `interval` seconds, which may change at any time.

    It is desired to run; that it does not answer is `stopped`. `refusal` gives why its numbers mean nothing, None when
    they do.
    """

    def __init__(
        self,
        *,
        probe: Callable[[], Awaitable[Health]],
        interval: float,
        url: str,
        observe: Observer,
        refusal: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._probe = probe
        self.interval = interval
        self._url = url
        self._refusal = refusal
        self._status = Status(observe)
        self._status.change(desired=True, reason=f"{url} has not been asked yet")
        self._closed = asyncio.Event()

    @property
    def snapshot(self) -> Snapshot:
        """What is known now."""
        return self._status.snapshot

    def start(self) -> None:
        """Do nothing: it is not ours to start."""

    def close(self) -> None:
        """Let `run` return. The server goes on."""
        self._closed.set()

    async def run(self) -> None:
        """Watch until `close`."""
        closed = asyncio.create_task(self._closed.wait())
        while not closed.done():
            probe = asyncio.ensure_future(self._probe())
            await asyncio.wait({probe, closed}, return_when=asyncio.FIRST_COMPLETED)
            if closed.done():
                probe.cancel()
                return
            self._judge(probe.result())
            await asyncio.wait({closed}, timeout=self.interval)

    def _judge(self, health: Health) -> None:
        state, reason = {
            Health.OK: (State.READY, None),
            Health.LOADING: (State.LOADING, None),
            Health.ERROR: (State.UNRESPONSIVE, f"{self._url}/health answers neither 200 nor 503"),
            Health.NO_ANSWER: (State.STOPPED, f"nothing answers at {self._url}"),
        }[health]
        if state is State.READY and (refusal := self._refusal()) is not None:
            state, reason = State.UNRESPONSIVE, f"{self._url}: {refusal}"
        ready = (self.snapshot.ready or time.monotonic()) if state is State.READY else None
        self._status.change(state=state, reason=reason, ready=ready)
