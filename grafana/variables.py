"""The pickers above a board. Each offers what the pickers before it leave."""

from collections.abc import Iterable

from grafana.queries import LOKI, PROMETHEUS, SERVER, Json


def source(name: str, kind: str, label: str) -> Json:
    """A picker of a data source: whatever it is called, it is found by its kind."""
    return {"current": {}, "hide": 0, "label": label, "name": name, "query": kind, "refresh": 1, "type": "datasource"}


def _choice(name: str, label: str, query: Json, datasource: Json) -> Json:
    return {
        "allValue": ".*",  # a thousand names joined by | are too long a query
        "current": {},
        "datasource": datasource,
        "hide": 0,
        "includeAll": True,
        "label": label,
        "multi": True,
        "name": name,
        "query": query,
        "refresh": 2,
        "sort": 7,
        "type": "query",
    }


def _of_metrics(name: str, label: str, query: str) -> Json:
    return _choice(name, label, {"qryType": 1, "query": query, "refId": f"variable-{name}"}, PROMETHEUS)


def _of_logs(name: str, label: str, log_label: str) -> Json:
    query = {"label": log_label, "refId": f"variable-{name}", "stream": '{service_name="llama"}', "type": 1}
    return _choice(name, label, query, LOKI)


DATASOURCE = source("datasource", "prometheus", "Metrics")
LOKI_SOURCE = source("loki", "loki", "Logs")
JOB = _of_metrics("job", "Job", "label_values(llama_exporter_build_info, job)")
INSTANCE = _of_metrics("instance", "Instance", 'label_values(llama_exporter_build_info{job=~"$job"}, instance)')
MODEL = _of_metrics("model", "Model", f"label_values(llama_generation_tokens_total{{{SERVER}}}, model)")
FLEET_MODEL = _of_metrics("model", "Model", 'label_values(llama_generation_tokens_total{job=~"$job"}, model)')
LOG_MODEL = _of_metrics("model", "Model", "label_values(llama_generation_tokens_total, model)")
GPU = _of_metrics("gpu", "GPU", f"label_values(llama_gpu_info{{{SERVER}}}, gpu)")
HOST = _of_logs("host", "Host of the log", "host")


def custom(name: str, label: str, values: Iterable[tuple[str, str]], default: str, *, several: bool = False) -> Json:
    """A picker of fixed (text, value) pairs."""
    pairs = list(values)
    text = next(text for text, value in pairs if value == default)
    current: Json = {} if several else {"selected": True, "text": text, "value": default}
    return {
        **({"allValue": ".*"} if several else {}),
        "current": current,
        "hide": 0,
        "includeAll": several,
        "label": label,
        "multi": several,
        "name": name,
        "options": [{"selected": value == default and not several, "text": t, "value": value} for t, value in pairs],
        "query": ", ".join(f"{t} : {value}" for t, value in pairs),
        "type": "custom",
    }


def text(name: str, label: str, default: str) -> Json:
    """A field to write into."""
    current = {"selected": True, "text": default, "value": default}
    return {
        "current": current,
        "hide": 0,
        "label": label,
        "name": name,
        "options": [current],
        "query": default,
        "type": "textbox",
    }
