"""How long requests took, as courses and as heatmaps."""

from grafana.boards.server.rates import usual
from grafana.panels import heatmap, timeseries
from grafana.queries import (
    buckets,
)

LATENCY = [
    timeseries(
        "First token",
        "Seconds from the moment a slot takes a request to its first token: llama_time_to_first_token_seconds.",
        *usual("llama_time_to_first_token_seconds"),
        unit="s",
        empty="No traffic",
    ),
    timeseries(
        "Time per token",
        "Seconds of generation for each token, one value a request: llama_time_per_output_token_seconds.",
        *usual("llama_time_per_output_token_seconds"),
        unit="s",
        empty="No traffic",
    ),
    timeseries(
        "Duration",
        "Seconds of prompt and generation together, without waiting for a slot: llama_request_duration_seconds.",
        *usual("llama_request_duration_seconds"),
        unit="s",
        empty="No traffic",
    ),
    heatmap(
        "First token, all requests",
        "Requests by time to the first token: llama_time_to_first_token_seconds.",
        buckets("llama_time_to_first_token_seconds"),
        unit="s",
        empty="No traffic",
    ),
    heatmap(
        "Time per token, all requests",
        "Requests by time per token: llama_time_per_output_token_seconds.",
        buckets("llama_time_per_output_token_seconds"),
        unit="s",
        empty="No traffic",
    ),
    heatmap(
        "Duration, all requests",
        "Requests by duration: llama_request_duration_seconds.",
        buckets("llama_request_duration_seconds"),
        unit="s",
        empty="No traffic",
    ),
    heatmap(
        "Prompt sizes",
        "Requests by tokens of the prompt, those from the cache included: llama_request_prompt_tokens.",
        buckets("llama_request_prompt_tokens"),
        unit="short",
        empty="No traffic",
    ),
    heatmap(
        "Answer sizes",
        "Requests by tokens generated: llama_request_generation_tokens.",
        buckets("llama_request_generation_tokens"),
        unit="short",
        empty="No traffic",
    ),
]
