"""Loads, evictions, thrashing."""

from grafana import links
from grafana.boards.models.states import LOADED, RATE
from grafana.panels import bars, timeseries
from grafana.queries import MODEL, prom, threshold

LOADING = [
    timeseries(
        "Loads and failures",
        "Loads in each interval by model and result: llama_model_loads_total.",
        prom(
            f"sum by (model, result) (increase(llama_model_loads_total{{{MODEL}}}{RATE}))",
            "{{model}} {{result}}",
        ),
        unit="short",
        empty="No load yet",
        stack=True,
        links=links.logs_of_series(),
    ),
    timeseries(
        "Load times",
        "Seconds that the last load of each model took: llama_model_load_seconds.",
        prom(f"llama_model_load_seconds{{{MODEL}}}", "{{model}} {{instance}}"),
        unit="s",
        empty="No load yet",
    ),
    timeseries(
        "Thrashing",
        "Loads of all models of an instance in 30 minutes (llama_model_loads_total), and the number at which "
        "ModelThrashing fires.",
        prom(
            f'sum by (job, instance) (increase(llama_model_loads_total{{{MODEL},result="loaded"}}[30m]))',
            "{{instance}}",
        ),
        threshold("ModelThrashing"),
        unit="short",
        empty="No load yet",
        links=links.server_of_series(),
    ),
    timeseries(
        "Evictions of each model",
        "Times in an hour that the model was loaded and then no more: falls of llama_model_state.",
        prom(f"sum by (model, instance) (resets({LOADED}[1h]))", "{{model}} {{instance}}"),
        unit="short",
        empty="No model",
        stack=True,
    ),
    timeseries(
        "Models loaded at once",
        "Loaded models of each instance: llama_model_state.",
        prom(f"sum by (instance) ({LOADED})", "{{instance}}"),
        unit="short",
        empty="No model",
    ),
    bars(
        "Most often loaded",
        "Loads of each model in the time range above: llama_model_loads_total.",
        prom(
            f"topk(10, sum by (model, instance) "
            f'(increase(llama_model_loads_total{{{MODEL},result="loaded"}}[$__range])))',
            "{{model}} {{instance}}",
        ),
        unit="short",
        empty="No load yet",
        decimals=0,
    ),
]
