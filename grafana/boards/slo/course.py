"""How the promises went."""

from grafana import links
from grafana.boards.slo.promises import (
    FIRST,
    FIRST_IS,
    PER,
    PER_IS,
    UP,
    UP_IS,
    burn,
    good,
)
from grafana.panels import timeseries
from grafana.queries import FLEET, Json, prom, threshold

BURNS = ("5m", "1h", "6h", "1d")


def _burning(title: str, what: str, of: dict[str, str], empty: str) -> Json:
    return timeseries(
        title,
        f"How fast the budget goes: at 1 it lasts exactly its window, at 14.4 a month's is spent in two days. {what}",
        *(prom(burn(share), window) for window, share in of.items()),
        unit="short",
        empty=empty,
    )


BURN = [
    _burning(
        "Burn of the first token's budget",
        FIRST_IS,
        {window: good(FIRST, "first_token", window) for window in BURNS},
        "No traffic",
    ),
    _burning(
        "Burn of the time per token's budget",
        PER_IS,
        {window: good(PER, "per_token", window) for window in BURNS},
        "No traffic",
    ),
    _burning(
        "Burn of availability",
        UP_IS,
        {window: f"avg(avg_over_time({UP}[{window}]))" for window in BURNS},
        "No server",
    ),
]


COURSE = [
    timeseries(
        "First tokens kept, by model",
        f"Over 5 minutes. {FIRST_IS}",
        prom(good(FIRST, "first_token", "5m", "model"), "{{model}}"),
        prom("vector($objective)", "objective"),
        unit="percentunit",
        empty="No traffic",
        max=1,
        links=links.logs_of_series(),
    ),
    timeseries(
        "Times per token kept, by model",
        f"Over 5 minutes. {PER_IS}",
        prom(good(PER, "per_token", "5m", "model"), "{{model}}"),
        prom("vector($objective)", "objective"),
        unit="percentunit",
        empty="No traffic",
        max=1,
        links=links.logs_of_series(),
    ),
    timeseries(
        "Servers ready",
        f"Share. {UP_IS}",
        prom(UP, "{{job}}"),
        prom("vector($objective)", "objective"),
        unit="percentunit",
        empty="No server",
        max=1,
    ),
    timeseries(
        "Late first tokens, as the alert sees them",
        "Share of requests later than the bound that the alert FirstTokenBudgetBurn has in recording.yml, and the "
        "share that may be: llama_time_to_first_token_seconds.",
        prom(f"job_model:llama_first_token_slow:ratio_rate5m{{{FLEET}}}", "5m {{model}}"),
        prom(f"job_model:llama_first_token_slow:ratio_rate1h{{{FLEET}}}", "1h {{model}}"),
        prom(f"job_model:llama_first_token_slow:ratio_rate6h{{{FLEET}}}", "6h {{model}}"),
        threshold("FirstTokenBudgetBurn"),
        unit="percentunit",
        empty="No traffic",
        width=24,
    ),
]
