"""A promise: what was kept, what is left of its budget, how fast that burns."""

from grafana.queries import FLEET

FIRST = "job_model_le:llama_time_to_first_token_seconds_bucket:rate5m"
PER = "job_model_le:llama_time_per_output_token_seconds_bucket:rate5m"
ENDED = "job_model_outcome:llama_requests:rate5m"
UP = 'job:llama_server_up:ratio{job=~"$job"}'

FIRST_IS = "First token within the bound chosen above: llama_time_to_first_token_seconds."
PER_IS = "Time per token within the bound chosen above: llama_time_per_output_token_seconds."
UP_IS = "Servers that should run and are ready: llama_server_up, llama_server_desired_state."
DONE_IS = "Requests that did not fail; those that the client cancelled count as kept: llama_requests_total."


def good(metric: str, picker: str, window: str, by: str = "") -> str:
    """Share of requests within the bound that the picker chooses."""
    fast = f'sum by ({by}) (avg_over_time({metric}{{{FLEET},le="${picker}"}}[{window}]))'
    return f'{fast} / (sum by ({by}) (avg_over_time({metric}{{{FLEET},le="+Inf"}}[{window}])) > 0)'


def left(share: str) -> str:
    """What is left of the share that may miss a promise of which this share was kept; below 0 it is broken."""
    return f"1 - (1 - ({share})) / (1 - $objective)"


def burn(share: str) -> str:
    """How many times faster than its window lasts the budget goes."""
    return f"(1 - ({share})) / (1 - $objective)"


def succeeded(window: str, by: str = "") -> str:
    """Share of requests that did not fail."""
    ended = f"sum by ({by}) (avg_over_time({ENDED}{{{FLEET}}}[{window}]))"
    failed = f'sum by ({by}) (avg_over_time({ENDED}{{{FLEET},outcome="failed"}}[{window}]))'
    return f"1 - {failed} / ({ended} > 0)"
