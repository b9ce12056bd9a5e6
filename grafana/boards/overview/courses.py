"""How latency, throughput and queue went."""

from grafana import links
from grafana.boards.overview.fleet import (
    BY_MODEL,
    CACHED,
    DURATION,
    ENDED,
    FIRST_TOKEN,
    GENERATED,
    PER_TOKEN,
    PROMPT,
    buckets_of,
    p95,
)
from grafana.panels import bars, timeseries
from grafana.queries import MODEL, prom, quantiles, ratio

LATENCY = [
    timeseries(
        "First token",
        "Seconds from the moment a slot takes a request to its first token; waiting for a slot is not in it: "
        "llama_time_to_first_token_seconds.",
        *quantiles(buckets_of(FIRST_TOKEN)),
        unit="s",
        empty="No traffic",
    ),
    timeseries(
        "Time per token",
        "Seconds of generation for each token, one value a request: llama_time_per_output_token_seconds.",
        *quantiles(buckets_of(PER_TOKEN)),
        unit="s",
        empty="No traffic",
    ),
    timeseries(
        "Duration",
        "Seconds of prompt and generation together, without waiting: llama_request_duration_seconds.",
        *quantiles(buckets_of(DURATION)),
        unit="s",
        empty="No traffic",
    ),
    bars(
        "Slowest first token",
        "The ten instances and models with the slowest first token, p95 of 5 minutes: "
        "llama_time_to_first_token_seconds.",
        prom(f"topk(10, {p95(FIRST_TOKEN, f'{BY_MODEL}, ')} >= 0)", "{{model}} {{instance}}"),
        unit="s",
        empty="No traffic",
    ),
    bars(
        "Slowest tokens",
        "The ten instances and models that take longest for a token, p95 of 5 minutes: "
        "llama_time_per_output_token_seconds.",
        prom(f"topk(10, {p95(PER_TOKEN, f'{BY_MODEL}, ')} >= 0)", "{{model}} {{instance}}"),
        unit="s",
        empty="No traffic",
    ),
    bars(
        "Longest queues",
        "The ten instances and models with most waiting requests: llama_requests_waiting.",
        prom(f"topk(10, llama_requests_waiting{{{MODEL}}})", "{{model}} {{instance}}"),
        unit="short",
        empty="No model",
    ),
]


THROUGHPUT = [
    timeseries(
        "Tokens generated",
        "Tokens a second by model, over 5 minutes, those of running and cancelled requests included: "
        "llama_generation_tokens_total.",
        prom(f"sum by (model) ({GENERATED})", "{{model}}"),
        unit="tok/s",
        empty="No model",
        stack=True,
        links=links.logs_of_series(),
    ),
    timeseries(
        "Prompt tokens",
        "Prompt tokens a second: processed (llama_prompt_tokens_total) and found in the cache "
        "(llama_prompt_tokens_cached_total).",
        prom(f"sum({PROMPT})", "processed"),
        prom(f"sum({CACHED})", "cached"),
        unit="tok/s",
        empty="No model",
        stack=True,
    ),
    timeseries(
        "Requests by outcome",
        "Requests that ended, a second: completed, truncated (the context was full), cancelled (the client went away), "
        "failed: llama_requests_total.",
        prom(f"sum by (outcome) ({ENDED})", "{{outcome}}"),
        unit="reqps",
        empty="No log of requests",
        stack=True,
    ),
]


QUEUE = [
    timeseries(
        "Running, by model",
        "Requests that slots work on, by model: llama_requests_running.",
        prom(f"sum by (model) (llama_requests_running{{{MODEL}}})", "{{model}}"),
        unit="short",
        empty="No model",
        stack=True,
    ),
    timeseries(
        "Waiting, by model",
        "Requests that wait for a slot, by model: llama_requests_waiting.",
        prom(f"sum by (model) (llama_requests_waiting{{{MODEL}}})", "{{model}}"),
        unit="short",
        empty="No model",
        stack=True,
    ),
    timeseries(
        "Slots in use",
        "Share of all slots that work on a request, by model: llama_requests_running, llama_model_slots.",
        prom(
            ratio(
                f"sum by (model) (llama_requests_running{{{MODEL}}})",
                f"sum by (model) (llama_model_slots{{{MODEL}}})",
            ),
            "{{model}}",
        ),
        unit="percentunit",
        empty="No model",
    ),
]
