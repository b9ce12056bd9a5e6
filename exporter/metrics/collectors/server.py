"""State of the server, from the supervisor's snapshot."""

from collections.abc import Callable, Mapping

from exporter.metrics.definitions import server as catalog
from exporter.metrics.families import Family
from exporter.supervisor.snapshot import Snapshot
from exporter.supervisor.states import State


class ServerCollector:
    """Reads the snapshot: costs nothing and never fails."""

    name = "server"
    metrics = (
        catalog.UP,
        catalog.DESIRED,
        catalog.STATE,
        catalog.START_TIME,
        catalog.READY_SECONDS,
        catalog.RESTARTS,
        catalog.EXITS,
        catalog.HTTP_REQUESTS,
    )

    def __init__(self, snapshot: Callable[[], Snapshot], requests: Mapping[tuple[str, str], int]) -> None:
        self._snapshot = snapshot
        self._requests = requests

    async def collect(self, _deadline: float) -> list[Family]:
        """The state now."""
        snapshot = self._snapshot()
        ready = None
        if snapshot.ready is not None and snapshot.started is not None:
            ready = snapshot.ready - snapshot.started
        return [
            catalog.UP.one(snapshot.state is State.READY),
            catalog.DESIRED.one(snapshot.desired),
            catalog.STATE.state(snapshot.state),
            catalog.START_TIME.one(snapshot.started_at),
            catalog.READY_SECONDS.one(ready),
            catalog.RESTARTS.family(((reason,), count) for reason, count in snapshot.restarts),
            catalog.EXITS.family(((code,), count) for code, count in snapshot.exits),
            catalog.HTTP_REQUESTS.family(self._requests),
        ]
