"""What state it is in, and what runs."""

from grafana import links
from grafana.boards.server.rates import STATES
from grafana.panels import stat, state_mappings, timeline
from grafana.queries import (
    MODEL,
    SERVER,
    cells,
    now,
    prom,
    state,
)
from grafana.tables import Column, table

STATE = [
    timeline(
        "State",
        "State of llama-server: llama_server_state. The marks are its starts (llama_server_start_time_seconds) and "
        "loads of models (llama_model_loads_total).",
        prom(state("llama_server_state", STATES, SERVER, "job, instance"), "{{instance}}"),
        mappings=state_mappings(STATES),
        empty="No server",
        links=links.server_of_series(),
    ),
    stat(
        "Up for",
        "Time since the running llama-server was started: llama_server_start_time_seconds.",
        prom(f"time() - llama_server_start_time_seconds{{{SERVER}}}", "{{instance}}"),
        unit="dtdurations",
        empty="Not running",
    ),
    stat(
        "Took to get ready",
        "From the start of the running process to its first healthy answer, mostly the load of the model: "
        "llama_server_ready_seconds.",
        prom(f"llama_server_ready_seconds{{{SERVER}}}", "{{instance}}"),
        unit="s",
        empty="Not ready",
    ),
    stat(
        "Restarts",
        "Restarts in the time range above, by reason: llama_server_restarts_total. Requested ones and those for a "
        "changed configuration are no faults.",
        now(prom(f"sum by (reason) (increase(llama_server_restarts_total{{{SERVER}}}[$__range]))", "{{reason}}")),
        unit="short",
        empty="No server",
        decimals=0,
        width=8,
    ),
    table(
        "What runs",
        "Build and mode of llama-server (llama_server_info), and its models (llama_model_info). The instance leads "
        "to the exporter's page for start, stop, load and unload.",
        {
            "job": "Job",
            "instance": "Instance",
            "model": "Model",
            "quantization": "Quantization",
            "file": "File",
            "build": "Build",
            "mode": "Mode",
        },
        [
            Column(
                "Value",
                cells(
                    f"llama_model_info{{{MODEL}}} * on (job, instance) group_left (build, mode) "
                    f"llama_server_info{{{SERVER}}}"
                ),
                hidden=True,
            )
        ],
        links={"Instance": links.server_of_row(), "Model": links.model_of_row()},
        hide=("architecture",),
        empty="No model",
        width=24,
        height=5,
    ),
]
