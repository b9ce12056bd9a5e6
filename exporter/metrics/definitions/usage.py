"""Tokens and requests, exact and live, as llama-server's own counters are not."""

from exporter.metrics.families import Metric

PROMPT_TOKENS = Metric(
    "llama_prompt_tokens_total",
    "counter",
    "Prompt tokens processed since the exporter started, including those of running requests; tokens found in the "
    "cache are not processed and not counted here.",
    ("model",),
)
GENERATION_TOKENS = Metric(
    "llama_generation_tokens_total",
    "counter",
    "Tokens generated since the exporter started, including those of running and of cancelled requests.",
    ("model",),
)
TOKENS_PER_SECOND = Metric(
    "llama_tokens_per_second",
    "gauge",
    "Tokens a second of all slots together: prompt tokens processed or tokens generated in the last "
    "metrics.rate_window, divided by its length. After a pause at least as long as the window they are divided by the "
    "time since the first of them instead, until that is a window ago. Shorter pauses count as time. 0 when idle.",
    ("model", "phase"),
)
CACHED_TOKENS = Metric(
    "llama_prompt_tokens_cached_total",
    "counter",
    "Prompt tokens found in the cache and not processed, of finished requests, and of running ones where the build "
    "reports them. The sum with llama_prompt_tokens_total is what the API calls usage.prompt_tokens.",
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
    "Drafted tokens that were accepted, counted when the request ends; llama_generation_tokens_total includes them.",
    ("model",),
)
REQUESTS = Metric(
    "llama_requests_total",
    "counter",
    "Ended requests: completed (embeddings too), truncated (the context was full), cancelled (the client went away) or "
    "failed. Absent for a server without a log.",
    ("model", "outcome"),
)
REQUESTS_RUNNING = Metric("llama_requests_running", "gauge", "Requests that slots are working on.", ("model",))
REQUESTS_WAITING = Metric(
    "llama_requests_waiting", "gauge", "Requests that wait for a slot, from llama-server's own metrics.", ("model",)
)
FIRST_TOKEN = Metric(
    "llama_time_to_first_token_seconds",
    "histogram",
    "Seconds from the moment a slot takes a request to its first token: the time to process the prompt, without "
    "waiting for a slot. Completed and truncated requests that generated tokens.",
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
    "Seconds of prompt processing and generation of a request; without waiting for a slot.",
    ("model",),
)
REQUEST_PROMPT_TOKENS = Metric(
    "llama_request_prompt_tokens",
    "histogram",
    "Tokens of a request's prompt, including those found in the cache.",
    ("model",),
)
REQUEST_GENERATION_TOKENS = Metric(
    "llama_request_generation_tokens", "histogram", "Tokens generated for a request.", ("model",)
)
