"""What fires, and the way to one server or model."""

from grafana import links
from grafana.boards.overview.fleet import (
    BY_MODEL,
    BY_SERVER,
    ENDED,
    FIRST_TOKEN,
    GENERATED,
    PER_TOKEN,
    STATES,
    WATTS,
    p95,
)
from grafana.panels import GREEN, NEUTRAL, RED, YELLOW, state_mappings
from grafana.queries import MODEL, SERVER, cells, state
from grafana.tables import Column, table

FIRING = table(
    "Alerts",
    "Alerts that fire or are about to (pending): ALERTS of Prometheus. A click on the name opens the runbook.",
    {"alertname": "Alert", "severity": "Severity", "alertstate": "State", "instance": "Instance", "model": "Model"},
    [Column("Value", cells(f'ALERTS{{alertname!="Watchdog",{SERVER}}}'), hidden=True)],
    links={"Alert": links.runbook()},
    hide=("job", "gpu", "uuid", "long", "short", "sensor", "reason", "collector", "state", "mountpoint", "xid"),
    empty="No alert",
    height=6,
)


SERVERS = table(
    "Servers",
    "One row an instance: llama_server_state, llama_tokens_per_second, llama_requests_running, llama_requests_waiting, "
    "llama_time_to_first_token_seconds, llama_server_restarts_total (24 hours), llama_gpu_power_watts, "
    "llama_gpu_memory_used_bytes. A click on the instance leads on: its board, its models, its page for start and "
    "stop.",
    {"job": "Job", "instance": "Instance"},
    [
        Column(
            "State",
            cells(state("llama_server_state", STATES, SERVER, BY_SERVER)),
            mappings=state_mappings(STATES),
        ),
        Column(
            "Tokens out",
            cells(f'sum by ({BY_SERVER}) (llama_tokens_per_second{{{MODEL},phase="generation"}})'),
            unit="tok/s",
            decimals=1,
        ),
        Column(
            "Tokens in",
            cells(f'sum by ({BY_SERVER}) (llama_tokens_per_second{{{MODEL},phase="prompt"}})'),
            unit="tok/s",
            decimals=1,
        ),
        Column("Running", cells(f"sum by ({BY_SERVER}) (llama_requests_running{{{MODEL}}})")),
        Column(
            "Waiting",
            cells(f"sum by ({BY_SERVER}) (llama_requests_waiting{{{MODEL}}})"),
            steps=((None, GREEN), (1, YELLOW)),
        ),
        Column("First token p95", cells(p95(FIRST_TOKEN, f"{BY_SERVER}, ")), unit="s"),
        Column(
            "Restarts 24 h",
            cells(
                f"sum by ({BY_SERVER}) "
                f'(increase(llama_server_restarts_total{{{SERVER},reason=~"crash|unresponsive"}}[1d]))'
            ),
            decimals=0,
            steps=((None, GREEN), (0.5, RED)),
        ),
        Column("GPU memory", cells(f"instance:llama_gpu_memory_used_bytes:sum{{{SERVER}}}"), unit="bytes"),
        Column("GPU power", cells(WATTS), unit="watt"),
    ],
    links={"Instance": links.server_of_row()},
    empty="No server",
    sort="Tokens out",
)


MODELS = table(
    "Models on servers",
    "One row a model and instance: llama_generation_tokens_total, llama_requests_total, llama_requests_running, "
    "llama_requests_waiting, llama_time_to_first_token_seconds, llama_time_per_output_token_seconds, "
    "llama_context_usage_ratio.",
    {"job": "Job", "instance": "Instance", "model": "Model"},
    [
        Column("Tokens out", cells(f"sum by ({BY_MODEL}) ({GENERATED})"), unit="tok/s", decimals=1),
        Column("Requests", cells(f"sum by ({BY_MODEL}) ({ENDED})"), unit="reqps"),
        Column("Running", cells(f"sum by ({BY_MODEL}) (llama_requests_running{{{MODEL}}})")),
        Column(
            "Waiting",
            cells(f"sum by ({BY_MODEL}) (llama_requests_waiting{{{MODEL}}})"),
            steps=((None, GREEN), (1, YELLOW)),
        ),
        Column("First token p95", cells(p95(FIRST_TOKEN, f"{BY_MODEL}, ")), unit="s"),
        Column("Per token p95", cells(p95(PER_TOKEN, f"{BY_MODEL}, ")), unit="s"),
        Column(
            "Context",
            cells(f"max by ({BY_MODEL}) (llama_context_usage_ratio{{{MODEL}}})"),
            unit="percentunit",
            steps=(*NEUTRAL, (0.85, YELLOW), (0.95, RED)),
        ),
    ],
    links={"Instance": links.server_of_row(), "Model": links.model_of_row()},
    empty="No model",
    sort="Tokens out",
)
