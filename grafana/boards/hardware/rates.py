"""Selectors and rates that several rows of the board share."""

from grafana.queries import SERVER

RATE = "[$__rate_interval]"
ON_GPU = "{{instance}} GPU {{gpu}}"
BY_GPU = "job, instance, gpu, uuid"


def host(metric: str) -> str:
    """A metric of the chosen hosts."""
    return f"{metric}{{{SERVER}}}"


def rate_of(metric: str, by: str, selector: str = SERVER) -> str:
    """A counter's rate, summed by these labels."""
    return f"sum by ({by}) (rate({metric}{{{selector}}}{RATE}))"
