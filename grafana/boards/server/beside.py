"""The log of the same time."""

from grafana import links
from grafana.panels import logs, timeseries
from grafana.queries import (
    LOGS,
    loki,
)

BESIDE = [
    timeseries(
        "Log volume",
        "Log lines of that time by level, counted in Loki.",
        loki(f"sum by (level) (count_over_time({LOGS} [$__auto]))", "{{level}}"),
        unit="short",
        empty="No log in Loki",
        stack=True,
        width=24,
        height=5,
    ),
    logs(
        "Log",
        "llama-server's and the exporter's log of that time, from Loki. Choose the host above.",
        loki(LOGS),
        empty="No log in Loki",
        links=[links.board("Search in the log", "llama-logs", "model", "host")],
    ),
]
