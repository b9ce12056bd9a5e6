"""What the tiles, tables and courses of the fleet are made from: recorded rates."""

from exporter.supervisor.states import State
from grafana.queries import MODEL, SERVER

FIRST_TOKEN = "instance_model_le:llama_time_to_first_token_seconds_bucket:rate5m"  # noqa: S105 -- a metric
PER_TOKEN = "instance_model_le:llama_time_per_output_token_seconds_bucket:rate5m"  # noqa: S105 -- a metric
DURATION = "instance_model_le:llama_request_duration_seconds_bucket:rate5m"
GENERATED = f"instance_model:llama_generation_tokens:rate5m{{{MODEL}}}"
PROMPT = f"instance_model:llama_prompt_tokens:rate5m{{{MODEL}}}"
CACHED = f"instance_model:llama_prompt_tokens_cached:rate5m{{{MODEL}}}"
ENDED = f"instance_model_outcome:llama_requests:rate5m{{{MODEL}}}"
WATTS = f"instance:llama_gpu_power_watts:sum{{{SERVER}}}"
BY_SERVER = "job, instance"
BY_MODEL = "job, instance, model"
STATES = tuple(State)


def outcome_rate(outcome: str) -> str:
    """Requests a second that ended so."""
    return f'sum(instance_model_outcome:llama_requests:rate5m{{{MODEL},outcome="{outcome}"}})'


def buckets_of(metric: str, by: str = "") -> str:
    """A recorded rate of buckets, summed by `le` and the labels of `by` (each with its comma)."""
    return f"sum by ({by}le) ({metric}{{{MODEL}}})"


def p95(metric: str, by: str = "") -> str:
    """The 95th percentile of such buckets."""
    return f"histogram_quantile(0.95, {buckets_of(metric, by)})"
