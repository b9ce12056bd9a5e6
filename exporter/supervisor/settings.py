"""The supervisor's part of the configuration."""

from exporter.config import LiveServer
from exporter.supervisor.backoff import Backoff
from exporter.supervisor.snapshot import Policy


def policy_of(server: LiveServer) -> Policy:
    """When to start, stop and replace the process."""
    return Policy(
        restart=server.restart.policy,
        start_timeout=server.start_timeout,
        stop_timeout=server.stop_timeout,
        health_interval=server.health.interval,
        unresponsive_after=server.health.unresponsive_after,
        unresponsive_action=server.health.action,
    )


def backoff_of(server: LiveServer) -> Backoff:
    """How long to wait after a failure."""
    restart = server.restart
    return Backoff(restart.initial_backoff, restart.max_backoff, restart.give_up_after, restart.within)
