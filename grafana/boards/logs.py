"""Logs: what llama-server and the exporter said, from Loki."""

from grafana import links
from grafana import variables as v
from grafana.board import Row, board
from grafana.panels import bars, logs, stat, timeseries
from grafana.queries import LOGS, LOGS_OF_SERVER, Json, loki, now

CHOSEN = f'{LOGS} | level=~"$level" | component=~"$component"'
FOUND = f"{CHOSEN} |~ `(?i)$search`"
FIELDS = ("outcome", "prompt_tokens", "generation_tokens", "prompt_seconds", "total_seconds", "tokens_per_second")
EXTRACT = ", ".join(f'{name}="{name}"' for name in FIELDS)
# A request that was cancelled before its first token has no times; to compare nothing is an error of the whole query.
FINISHED = f'{LOGS} | event="request_finished" | json {EXTRACT} | total_seconds != "" | total_seconds > $slow'
LIFECYCLE = "server_.+|model_.+|config_.+|log_lines_dropped"
TO_METRICS = [links.board("Metrics of that time", "llama-server", "model", "host")]


def _slow() -> Json:
    panel = logs(
        "Slow requests",
        "Requests that took longer than the seconds chosen above, prompt and generation together, without waiting "
        "for a slot: event request_finished, with its fields.",
        loki(
            f'{FINISHED} | line_format "{{{{.total_seconds}}}} s, {{{{.outcome}}}}: {{{{.prompt_tokens}}}} prompt '
            f"tokens in {{{{.prompt_seconds}}}} s, {{{{.generation_tokens}}}} generated at "
            f'{{{{.tokens_per_second}}}} tok/s"'
        ),
        empty="No request as slow as that",
        links=TO_METRICS,
        height=10,
    )
    panel["options"]["showLabels"] = False
    return panel


VOLUME = [
    timeseries(
        "Lines by level",
        "Log lines counted in Loki, by level.",
        loki(f"sum by (level) (count_over_time({CHOSEN} [$__auto]))", "{{level}}"),
        unit="short",
        empty="No log in Loki",
        stack=True,
        width=16,
        links=TO_METRICS,
    ),
    stat(
        "Errors",
        "Lines of the level error in the time range above.",
        now(loki(f'sum(count_over_time({LOGS} | level="error" [$__range]))', "errors")),
        unit="short",
        empty="No error",
        width=8,
        height=8,
    ),
    timeseries(
        "Errors by component",
        "Lines of the level error by the component of llama-server that wrote them (srv, slot, ...); without one: the "
        "exporter's, or lines of libraries.",
        loki(f'sum by (component) (count_over_time({LOGS} | level="error" [$__auto]))', "{{component}}"),
        unit="short",
        empty="No error",
        stack=True,
        width=12,
        links=TO_METRICS,
    ),
    bars(
        "Where errors come from",
        "Errors and warnings in the time range above by model and component.",
        loki(
            f'topk(10, sum by (model, component) (count_over_time({LOGS} | level=~"error|warn" [$__range])))',
            "{{model}} {{component}}",
        ),
        unit="short",
        empty="No error, no warning",
        width=12,
    ),
]

REQUESTS = [
    timeseries(
        "Slow requests by model",
        "Requests that took longer than the seconds chosen above: event request_finished.",
        loki(f"sum by (model) (count_over_time({FINISHED} [$__auto]))", "{{model}}"),
        unit="short",
        empty="No request as slow as that",
        stack=True,
        width=12,
        links=TO_METRICS,
    ),
    timeseries(
        "Duration in the log, p95",
        "95 of 100 requests took at most this long, exact and not by buckets: total_seconds of request_finished.",
        loki(
            f'quantile_over_time(0.95, {LOGS} | event="request_finished" | json total_seconds="total_seconds" '
            '| total_seconds != "" | unwrap total_seconds [$__auto]) by (model)',
            "{{model}}",
        ),
        unit="s",
        empty="No request",
        width=12,
        links=TO_METRICS,
    ),
    _slow(),
]

BOARD = board(
    "llama-logs",
    "llama-server / Logs",
    "Search, errors, slow requests, and the life of servers and models, in their own words.",
    [
        v.DATASOURCE,
        v.LOKI_SOURCE,
        v.HOST,
        v.LOG_MODEL,
        v.custom(
            "level", "Level", [(level, level) for level in ("error", "warn", "info", "debug")], "info", several=True
        ),
        v.text("component", "Component (regular expression)", ".*"),
        v.text("search", "Search (regular expression)", ""),
        v.custom("slow", "Slow is longer than", [(f"{s} s", str(s)) for s in (1, 2, 5, 10, 30, 60, 120, 300)], "10"),
    ],
    [
        Row("How much and how bad", VOLUME),
        Row(
            "Life of servers and models",
            [
                logs(
                    "Events",
                    "Starts, exits, restarts, hangs, loads and unloads, reloads: lines with an event other than "
                    "request_finished, those of the whole server whatever model is chosen.",
                    loki(f'{LOGS_OF_SERVER} | event=~"{LIFECYCLE}"'),
                    empty="No event",
                    height=8,
                    links=TO_METRICS,
                )
            ],
        ),
        Row("Slow requests", REQUESTS),
        Row(
            "Search",
            [
                logs(
                    "Lines",
                    "Lines of the chosen host, model, level and component in which the search is found.",
                    loki(FOUND),
                    empty="Nothing found",
                    height=18,
                    links=TO_METRICS,
                )
            ],
        ),
    ],
)
