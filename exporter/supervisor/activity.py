"""What the supervisor may know of the requests that run in the server."""

from typing import Protocol


class Activity(Protocol):
    """Requests, and whether they get on."""

    @property
    def running(self) -> int:
        """Requests that a slot works on now."""
        ...

    def stalled(self) -> float:
        """Seconds for which requests have been running while neither a token nor a log line came; 0 otherwise."""
        ...


class Unknown:
    """For a server whose requests nobody follows."""

    running = 0

    def stalled(self) -> float:
        """Never."""
        return 0.0
