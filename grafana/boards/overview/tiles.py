"""The first look: one number each."""

from grafana.boards.overview.fleet import (
    BY_SERVER,
    CACHED,
    ENDED,
    FIRST_TOKEN,
    GENERATED,
    PER_TOKEN,
    PROMPT,
    WATTS,
    outcome_rate,
    p95,
)
from grafana.panels import GREEN, RED, YELLOW, stat
from grafana.queries import MODEL, SERVER, now, prom, ratio

TILES = [
    stat(
        "Fleet",
        "Servers that are ready, and those that should run: llama_server_up, llama_server_desired_state.",
        prom(f"sum(llama_server_up{{{SERVER}}})", "ready"),
        prom(f"sum(llama_server_desired_state{{{SERVER}}})", "wanted"),
        unit="short",
        empty="No server",
    ),
    stat(
        "Servers down",
        "Servers that should run and are not ready: llama_server_desired_state without llama_server_up.",
        prom(
            f"count(llama_server_desired_state{{{SERVER}}} - llama_server_up{{{SERVER}}} > 0) "
            f"or sum(llama_server_up{{{SERVER}}}) * 0",
            "down",
        ),
        unit="short",
        empty="No server",
        steps=((None, GREEN), (1, RED)),
    ),
    stat(
        "Exporters unreachable",
        "Targets that Prometheus cannot scrape: up is 0.",
        prom(f"count(up{{{SERVER}}} == 0) or count(up{{{SERVER}}}) * 0", "unreachable"),
        unit="short",
        empty="No target",
        steps=((None, GREEN), (1, RED)),
    ),
    stat(
        "Tokens out",
        "Tokens generated a second now, all slots together: llama_tokens_per_second, phase generation.",
        prom(f'sum(llama_tokens_per_second{{{MODEL},phase="generation"}})', "generated"),
        unit="tok/s",
        empty="No model",
    ),
    stat(
        "Tokens in",
        "Prompt tokens processed a second now; those found in the cache are not processed: llama_tokens_per_second, "
        "phase prompt.",
        prom(f'sum(llama_tokens_per_second{{{MODEL},phase="prompt"}})', "processed"),
        unit="tok/s",
        empty="No model",
    ),
    stat(
        "Requests",
        "Requests that ended, a second, over 5 minutes: llama_requests_total.",
        prom(f"sum({ENDED})", "ended"),
        unit="reqps",
        empty="No log of requests",
    ),
    stat(
        "Running",
        "Requests that slots work on now: llama_requests_running.",
        prom(f"sum(llama_requests_running{{{MODEL}}})", "running"),
        unit="short",
        empty="No model",
    ),
    stat(
        "Waiting",
        "Requests that wait for a slot: llama_requests_waiting. More than a moment of it means too few slots.",
        prom(f"sum(llama_requests_waiting{{{MODEL}}})", "waiting"),
        unit="short",
        empty="No model",
        steps=((None, GREEN), (1, YELLOW)),
    ),
    stat(
        "First token, p95",
        "95 of 100 requests of the last 5 minutes had their first token in this time after a slot took them: "
        "llama_time_to_first_token_seconds.",
        prom(p95(FIRST_TOKEN), "p95"),
        unit="s",
        empty="No traffic",
    ),
    stat(
        "Per token, p95",
        "95 of 100 requests of the last 5 minutes took at most this long for each token, on average over the request: "
        "llama_time_per_output_token_seconds.",
        prom(p95(PER_TOKEN), "p95"),
        unit="s",
        empty="No traffic",
    ),
    stat(
        "Cancelled",
        "Share of requests whose client went away, over 5 minutes: llama_requests_total, outcome cancelled.",
        prom(ratio(outcome_rate("cancelled"), f"sum({ENDED})"), "cancelled"),
        unit="percentunit",
        empty="No traffic",
    ),
    stat(
        "Failed",
        "Share of requests that ended in an error, over 5 minutes: llama_requests_total, outcome failed.",
        prom(ratio(outcome_rate("failed"), f"sum({ENDED})"), "failed"),
        unit="percentunit",
        empty="No traffic",
        steps=((None, GREEN), (0.01, YELLOW), (0.05, RED)),
    ),
    stat(
        "Restarts",
        "Restarts after crashes and hangs in the time range above: llama_server_restarts_total.",
        now(
            prom(
                f'sum(increase(llama_server_restarts_total{{{SERVER},reason=~"crash|unresponsive"}}[$__range]))',
                "restarts",
            )
        ),
        unit="short",
        empty="No server",
        decimals=0,
        steps=((None, GREEN), (0.5, RED)),
    ),
    stat(
        "Fullest context",
        "Share of its context that the fullest model uses: llama_context_usage_ratio.",
        prom(f"max(llama_context_usage_ratio{{{MODEL}}})", "fullest"),
        unit="percentunit",
        empty="No model",
        max=1,
        steps=((None, GREEN), (0.85, YELLOW), (0.95, RED)),
    ),
    stat(
        "GPU memory",
        "Share of the memory of all GPUs that is in use: llama_gpu_memory_used_bytes, llama_gpu_memory_total_bytes. "
        "llama.cpp takes its memory when it loads.",
        prom(
            ratio(
                f"sum(instance:llama_gpu_memory_used_bytes:sum{{{SERVER}}})",
                f"sum(instance:llama_gpu_memory_total_bytes:sum{{{SERVER}}})",
            ),
            "used",
        ),
        unit="percentunit",
        empty="No GPU",
        max=1,
        steps=((None, GREEN), (0.97, YELLOW)),
    ),
    stat(
        "Power",
        "Watts of all GPUs: llama_gpu_power_watts.",
        prom(f"sum({WATTS})", "GPUs"),
        unit="watt",
        empty="No GPU",
    ),
    stat(
        "Tokens per joule",
        "Tokens generated for each joule that the GPUs used, over 5 minutes, on servers that tell their power, that of "
        "all their models: llama_generation_tokens_total, llama_gpu_power_watts.",
        prom(ratio(f"sum({GENERATED} and on ({BY_SERVER}) {WATTS})", f"sum({WATTS})"), "tokens per joule"),
        unit="short",
        empty="No GPU",
        decimals=2,
    ),
    stat(
        "Found in the cache",
        "Share of prompt tokens that were found in the cache and not processed, over 5 minutes: "
        "llama_prompt_tokens_cached_total, llama_prompt_tokens_total.",
        prom(ratio(f"sum({CACHED})", f"(sum({CACHED}) + sum({PROMPT}))"), "cached"),
        unit="percentunit",
        empty="No traffic",
    ),
]
