"""Which models there are."""

from grafana import links
from grafana.boards.models.states import BY_MODEL, LOADED, STATES
from grafana.panels import GREEN, RED, stat, state_mappings, timeline
from grafana.queries import GPU_MODEL, MODEL, cells, now, prom, state
from grafana.tables import Column, table

NOW = [
    stat(
        "Loaded",
        "Models that are loaded: llama_model_state.",
        prom(f"sum({LOADED})", "loaded"),
        unit="short",
        empty="No model",
    ),
    stat(
        "Known",
        "Models that could be loaded: llama_model_state.",
        prom(f"count({LOADED})", "known"),
        unit="short",
        empty="No model",
    ),
    stat(
        "Failed",
        "Models whose last load failed: llama_model_state.",
        prom(f'sum(llama_model_state{{{MODEL},state="failed"}})', "failed"),
        unit="short",
        empty="No model",
        steps=((None, GREEN), (1, RED)),
    ),
    stat(
        "Loads",
        "Loads that worked in the time range above: llama_model_loads_total, result loaded.",
        now(prom(f'sum(increase(llama_model_loads_total{{{MODEL},result="loaded"}}[$__range]))', "loads")),
        unit="short",
        empty="No load yet",
        decimals=0,
    ),
    stat(
        "Evictions",
        "Times that a model was loaded and then no more, in the time range above: falls of llama_model_state.",
        now(prom(f"sum(resets({LOADED}[$__range]))", "evictions")),
        unit="short",
        empty="No model",
        decimals=0,
    ),
    stat(
        "Slowest load",
        "The longest of the models' last loads: llama_model_load_seconds.",
        prom(f"max(llama_model_load_seconds{{{MODEL}}})", "slowest"),
        unit="s",
        empty="No load yet",
    ),
    timeline(
        "State of each model",
        "llama_model_state over time. The marks are loads (llama_model_loads_total).",
        prom(state("llama_model_state", STATES, MODEL, BY_MODEL), "{{model}} {{instance}}"),
        mappings=state_mappings(STATES),
        empty="No model",
        height=9,
        links=links.server_of_series(),
    ),
    table(
        "Models",
        "One row a model and instance: llama_model_state, llama_requests_running, llama_generation_tokens_total, "
        "llama_gpu_model_memory_bytes, llama_model_load_seconds, llama_model_size_bytes, llama_model_context_tokens, "
        "llama_model_last_exit_code. The instance leads to the exporter's page for load and unload.",
        {"job": "Job", "instance": "Instance", "model": "Model"},
        [
            Column(
                "State", cells(state("llama_model_state", STATES, MODEL, BY_MODEL)), mappings=state_mappings(STATES)
            ),
            Column("Running", cells(f"sum by ({BY_MODEL}) (llama_requests_running{{{MODEL}}})")),
            Column(
                "Tokens out",
                cells(f"sum by ({BY_MODEL}) (instance_model:llama_generation_tokens:rate5m{{{MODEL}}})"),
                unit="tok/s",
                decimals=1,
            ),
            Column(
                "GPU memory",
                cells(f"sum by ({BY_MODEL}) (llama_gpu_model_memory_bytes{{{GPU_MODEL}}})"),
                unit="bytes",
            ),
            Column("Last load", cells(f"max by ({BY_MODEL}) (llama_model_load_seconds{{{MODEL}}})"), unit="s"),
            Column("Size", cells(f"max by ({BY_MODEL}) (llama_model_size_bytes{{{MODEL}}})"), unit="bytes"),
            Column("Context", cells(f"max by ({BY_MODEL}) (llama_model_context_tokens{{{MODEL}}})")),
            Column("Last exit code", cells(f"max by ({BY_MODEL}) (llama_model_last_exit_code{{{MODEL}}})")),
        ],
        links={"Instance": links.server_of_row(), "Model": links.model_of_row()},
        empty="No model",
        sort="Tokens out",
    ),
]
