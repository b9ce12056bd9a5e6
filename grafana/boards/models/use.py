"""What each model takes and gives."""

from grafana import links
from grafana.boards.models.states import RATE
from grafana.panels import logs, timeseries
from grafana.queries import GPU, GPU_MODEL, LOGS, MODEL, loki, prom, ratio

USE = [
    timeseries(
        "GPU memory of each model",
        "GPU memory that each model holds; other is of programs that are not llama-server: "
        "llama_gpu_model_memory_bytes.",
        prom(
            f'sum by (instance, model) (llama_gpu_model_memory_bytes{{{GPU},model=~"$model|other"}})',
            "{{model}} {{instance}}",
        ),
        unit="bytes",
        empty="No GPU",
        stack=True,
    ),
    timeseries(
        "Memory of each model",
        "Memory in RAM of each model's process: llama_server_process_resident_memory_bytes.",
        prom(f"llama_server_process_resident_memory_bytes{{{MODEL}}}", "{{model}} {{instance}}"),
        unit="bytes",
        empty="No model",
        stack=True,
    ),
    timeseries(
        "Tokens of each model",
        "Tokens generated a second: llama_generation_tokens_total.",
        prom(f"sum by (model) (rate(llama_generation_tokens_total{{{MODEL}}}{RATE}))", "{{model}}"),
        unit="tok/s",
        empty="No model",
        stack=True,
        links=links.logs_of_series(),
    ),
    timeseries(
        "Requests of each model",
        "Requests that ended, a second: llama_requests_total.",
        prom(f"sum by (model) (rate(llama_requests_total{{{MODEL}}}{RATE}))", "{{model}}"),
        unit="reqps",
        empty="No log of requests",
        stack=True,
    ),
    timeseries(
        "Power of each model",
        "Watts that each model's share of the GPUs takes: llama_gpu_model_energy_joules_total.",
        prom(f"sum by (model) (rate(llama_gpu_model_energy_joules_total{{{GPU_MODEL}}}{RATE}))", "{{model}}"),
        unit="watt",
        empty="No GPU that tells (NVIDIA)",
        stack=True,
    ),
    timeseries(
        "Tokens per joule of each model",
        "Tokens generated for each joule that the model took of the GPUs: llama_generation_tokens_total, "
        "llama_gpu_model_energy_joules_total.",
        prom(
            ratio(
                f"sum by (model) (rate(llama_generation_tokens_total{{{MODEL}}}{RATE}))",
                f"sum by (model) (rate(llama_gpu_model_energy_joules_total{{{GPU_MODEL}}}{RATE}))",
            ),
            "{{model}}",
        ),
        unit="short",
        empty="No GPU that tells (NVIDIA)",
        decimals=2,
    ),
]


EVENTS = [
    logs(
        "Loads and unloads in the log",
        "What the router and its models said of loads: events model_loaded, model_unloaded, model_sleeping, "
        "model_failed of Loki.",
        loki(f'{LOGS} | event=~"model_.+"'),
        empty="No such event",
        height=9,
        links=[links.board("Search in the log", "llama-logs", "model", "host")],
    ),
]
