"""The log of the same time."""

from grafana import links
from grafana.panels import logs, timeseries
from grafana.queries import (
    LOGS_OF_SERVER,
    loki,
)

BESIDE = [
    timeseries(
        "Log volume",
        "Log lines of that time by level, counted in Loki.",
        loki(f"sum by (level) (count_over_time({LOGS_OF_SERVER} [$__auto]))", "{{level}}"),
        unit="short",
        empty="No log in Loki",
        stack=True,
        width=24,
        height=5,
    ),
    logs(
        "Log",
        "llama-server's and the exporter's log of that time, from Loki; lines that name no model are always here. "
        "Choose the host above.",
        loki(LOGS_OF_SERVER),
        empty="No log in Loki",
        links=[links.board("Search in the log", "llama-logs", "model", "host")],
    ),
]
