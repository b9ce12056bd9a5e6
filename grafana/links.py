"""Links to another board, to the exporter's own page, to a runbook; time and data sources go along."""

from grafana.queries import Json

RUNBOOKS = "https://github.com/llama-server-exporter/llama-server-exporter/blob/main/docs/runbooks/"
"""Where the runbooks are read: <this><Alert>.md. The rules of Prometheus say the same."""

_KEPT = "${datasource:queryparam}&${loki:queryparam}&${__url_time_range}"


def _cell(label: str) -> str:
    return f"${{__data.fields.{label}}}"


def _series(label: str) -> str:
    return f"${{__field.labels.{label}}}"


def board(title: str, uid: str, *kept: str, **variables: str) -> Json:
    """A link to the board `uid` with these variables set, and the `kept` ones as they are on this board."""
    same = "".join(f"&${{{name}:queryparam}}" for name in kept)
    chosen = "".join(f"&var-{name}={value}" for name, value in variables.items())
    return {"title": title, "url": f"/d/{uid}?{_KEPT}{same}{chosen}"}


def page(instance: str) -> Json:
    """The exporter's page, where the server is started and stopped and models are loaded and unloaded."""
    return {
        "targetBlank": True,
        "title": "Start, stop, load, unload: the exporter's page",
        "url": f"http://{instance}/",
    }


def server_of_row() -> list[Json]:
    """Links of a table's cell that names an instance."""
    instance = _cell("Instance")
    return [
        board("Server: metrics and logs", "llama-server", job=_cell("Job"), instance=instance),
        board("Models", "llama-models", job=_cell("Job"), instance=instance),
        board("GPU and host", "llama-hardware", job=_cell("Job"), instance=instance),
        page(instance),
    ]


def model_of_row() -> list[Json]:
    """Links of a table's cell that names a model."""
    where = {"job": _cell("Job"), "instance": _cell("Instance"), "model": _cell("Model")}
    return [
        board("Server: this model", "llama-server", **where),
        board("Logs of this model", "llama-logs", model=_cell("Model")),
        page(_cell("Instance")),
    ]


def server_of_series() -> list[Json]:
    """Links of a line whose labels have job and instance."""
    instance = _series("instance")
    return [board("Server: metrics and logs", "llama-server", job=_series("job"), instance=instance), page(instance)]


def logs_of_series() -> list[Json]:
    """Links of a line whose labels have a model."""
    return [board("Logs of this model", "llama-logs", model=_series("model"))]


def runbook() -> list[Json]:
    """The runbook of the alert in a table's cell."""
    return [{"targetBlank": True, "title": "Runbook", "url": f"{RUNBOOKS}${{__value.raw}}.md"}]
