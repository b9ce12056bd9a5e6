"""Tokens and requests, exact: what llama-server's own counters cannot give."""

from exporter.catalog.metric import Metric

PROMPT_TOKENS = Metric(
    "llama_prompt_tokens_total",
    "counter",
    "Prompt tokens processed since the exporter started, those of running requests included; tokens found in the cache "
    "are not processed and not counted here.",
    ("model",),
)
GENERATION_TOKENS = Metric(
    "llama_generation_tokens_total",
    "counter",
    "Tokens generated since the exporter started, those of running and of cancelled requests included.",
    ("model",),
)
TOKENS_PER_SECOND = Metric(
    "llama_tokens_per_second",
    "gauge",
    "Tokens a second of all slots together over the last metrics.rate_window (from the start of the running requests "
    "where that is later): prompt tokens processed or tokens generated. 0 when idle.",
    ("model", "phase"),
)
