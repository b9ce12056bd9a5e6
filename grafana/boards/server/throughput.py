"""Tokens, requests and batches."""

from grafana import links
from grafana.boards.server.rates import rate_of
from grafana.panels import timeseries
from grafana.queries import (
    MODEL,
    prom,
    ratio,
)

THROUGHPUT = [
    timeseries(
        "Tokens per second, live",
        "All slots together, over metrics.rate_window, as tokens are made: llama_tokens_per_second.",
        prom(f"sum by (model, phase) (llama_tokens_per_second{{{MODEL}}})", "{{model}} {{phase}}"),
        unit="tok/s",
        empty="No model",
        links=links.logs_of_series(),
    ),
    timeseries(
        "Tokens counted",
        "Rates of the exact counters: llama_generation_tokens_total, llama_prompt_tokens_total, "
        "llama_prompt_tokens_cached_total.",
        prom(f"sum({rate_of('llama_generation_tokens_total')})", "generated"),
        prom(f"sum({rate_of('llama_prompt_tokens_total')})", "prompt"),
        prom(f"sum({rate_of('llama_prompt_tokens_cached_total')})", "prompt, from cache"),
        unit="tok/s",
        empty="No model",
    ),
    timeseries(
        "Requests by outcome",
        "Requests that ended, a second: llama_requests_total.",
        prom(f"sum by (outcome) ({rate_of('llama_requests_total')})", "{{outcome}}"),
        unit="reqps",
        empty="No log of requests",
        stack=True,
    ),
    timeseries(
        "Running and waiting",
        "Requests that slots work on (llama_requests_running), that wait for one (llama_requests_waiting), and the "
        "slots there are (llama_model_slots).",
        prom(f"sum(llama_requests_running{{{MODEL}}})", "running"),
        prom(f"sum(llama_requests_waiting{{{MODEL}}})", "waiting"),
        prom(f"sum(llama_model_slots{{{MODEL}}})", "slots"),
        unit="short",
        empty="No model",
    ),
    timeseries(
        "Batches",
        "Calls of llama_decode a second, one a batch: llamacpp:n_decode_total.",
        prom(f"sum by (model) ({rate_of('llamacpp:n_decode_total')})", "{{model}}"),
        unit="ops",
        empty="No metrics of llama-server's own",
    ),
    timeseries(
        "Tokens a batch",
        "Tokens generated for each batch: near 1 means that one request has the machine for itself, more means that "
        "several share the reading of the weights: llama_generation_tokens_total, llamacpp:n_decode_total.",
        prom(
            ratio(
                f"sum by (model) ({rate_of('llama_generation_tokens_total')})",
                f"sum by (model) ({rate_of('llamacpp:n_decode_total')})",
            ),
            "{{model}}",
        ),
        unit="short",
        empty="No traffic",
    ),
]
