"""Rates that several rows of the board show."""

from exporter.supervisor.states import State
from grafana.queries import (
    MODEL,
    Json,
    mean,
    quantiles,
)

STATES = tuple(State)
RATE = "[$__rate_interval]"


def rate_of(metric: str) -> str:
    """A counter's rate, series by series."""
    return f"rate({metric}{{{MODEL}}}{RATE})"


def usual(histogram: str) -> list[Json]:
    """What one wants to know of a histogram: median, p95, p99, mean."""
    total = f"sum by (le) (rate({histogram}_bucket{{{MODEL}}}{RATE}))"
    return [*quantiles(total), mean(histogram)]
