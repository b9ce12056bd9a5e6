"""What was kept, and what is left of the budgets."""

from grafana import links
from grafana.boards.slo.promises import (
    DONE_IS,
    FIRST,
    FIRST_IS,
    PER,
    PER_IS,
    UP,
    UP_IS,
    good,
    left,
    succeeded,
)
from grafana.panels import GREEN, RED, YELLOW, Steps, stat
from grafana.queries import Json, cells, now, prom
from grafana.tables import Column, table

LEFT: Steps = ((None, RED), (0, YELLOW), (0.25, GREEN))


def _promise(name: str, what: str, share: str, empty: str) -> list[Json]:
    """The two tiles of one promise."""
    return [
        stat(
            f"{name}: kept",
            f"Share that was as promised in the chosen window. {what}",
            now(prom(share, "kept")),
            unit="percentunit",
            empty=empty,
            decimals=2,
        ),
        stat(
            f"{name}: budget left",
            f"What is left of the share that may miss the promise; below 0 it is broken. {what}",
            now(prom(left(share), "left")),
            unit="percentunit",
            empty=empty,
            decimals=1,
            steps=LEFT,
        ),
    ]


TILES = [
    *_promise("First token", FIRST_IS, good(FIRST, "first_token", "$window"), "No traffic"),
    *_promise("Time per token", PER_IS, good(PER, "per_token", "$window"), "No traffic"),
    *_promise("Availability", UP_IS, f"avg(avg_over_time({UP}[$window]))", "No server"),
    *_promise("Success", DONE_IS, succeeded("$window"), "No traffic"),
]


MODELS = table(
    "Promises by model",
    f"The chosen window. {FIRST_IS} {PER_IS} {DONE_IS}",
    {"job": "Job", "model": "Model"},
    [
        Column(
            "First token kept", cells(good(FIRST, "first_token", "$window", "job, model")), "percentunit", decimals=2
        ),
        Column(
            "First token budget",
            cells(left(good(FIRST, "first_token", "$window", "job, model"))),
            "percentunit",
            LEFT,
            decimals=1,
        ),
        Column("Per token kept", cells(good(PER, "per_token", "$window", "job, model")), "percentunit", decimals=2),
        Column(
            "Per token budget",
            cells(left(good(PER, "per_token", "$window", "job, model"))),
            "percentunit",
            LEFT,
            decimals=1,
        ),
        Column("Succeeded", cells(succeeded("$window", "job, model")), "percentunit", decimals=2),
    ],
    links={
        "Model": [
            links.board("Overview of this model", "llama-overview", "job", model="${__data.fields.Model}"),
            links.board("Logs of this model", "llama-logs", model="${__data.fields.Model}"),
        ]
    },
    empty="No traffic",
    height=7,
)
