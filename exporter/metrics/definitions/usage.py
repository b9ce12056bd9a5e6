"""Tokens and requests, exact: what llama-server's own counters cannot give."""

from exporter.metrics.families import Metric

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
CACHED_TOKENS = Metric(
    "llama_prompt_tokens_cached_total",
    "counter",
    "Prompt tokens that were found in the cache and not processed, of finished requests and of running ones as far as "
    "the server tells. With llama_prompt_tokens_total they make what the API calls usage.prompt_tokens.",
    ("model",),
)
DRAFT_TOKENS = Metric(
    "llama_draft_tokens_total",
    "counter",
    "Tokens drafted by speculative decoding, counted when the request ends.",
    ("model",),
)
DRAFT_ACCEPTED = Metric(
    "llama_draft_tokens_accepted_total",
    "counter",
    "Drafted tokens that were accepted, counted when the request ends; they are among llama_generation_tokens_total.",
    ("model",),
)
REQUESTS = Metric(
    "llama_requests_total",
    "counter",
    "Ended requests: completed (embeddings too), truncated (the context was full), cancelled (the client went away) or "
    "failed. Absent for a server without a log.",
    ("model", "outcome"),
)
REQUESTS_RUNNING = Metric("llama_requests_running", "gauge", "Requests that slots work on now.", ("model",))
REQUESTS_WAITING = Metric(
    "llama_requests_waiting", "gauge", "Requests that wait for a slot, as llama-server's own page says.", ("model",)
)
FIRST_TOKEN = Metric(
    "llama_time_to_first_token_seconds",
    "histogram",
    "Seconds from the moment a slot takes a request to its first token, which is the prompt's processing; waiting for "
    "a slot is not in it. Completed and truncated requests that generated.",
    ("model",),
)
PER_TOKEN = Metric(
    "llama_time_per_output_token_seconds",
    "histogram",
    "Seconds of generation divided by the tokens generated, one observation a request.",
    ("model",),
)
DURATION = Metric(
    "llama_request_duration_seconds",
    "histogram",
    "Seconds of prompt processing and generation of a request; waiting for a slot is not in it.",
    ("model",),
)
REQUEST_PROMPT_TOKENS = Metric(
    "llama_request_prompt_tokens",
    "histogram",
    "Tokens of a request's prompt, those found in the cache included.",
    ("model",),
)
REQUEST_GENERATION_TOKENS = Metric(
    "llama_request_generation_tokens", "histogram", "Tokens generated for a request.", ("model",)
)
