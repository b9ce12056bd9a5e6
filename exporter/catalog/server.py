"""The server and its model: what state they are in and what they are (metrics of the supervisor)."""

from exporter.catalog.metric import Metric
from exporter.supervisor.states import State

UP = Metric("llama_server_up", "gauge", "1 when llama-server runs and its /health answers 200, else 0.")
DESIRED = Metric(
    "llama_server_desired_state", "gauge", "1 when llama-server should be running, 0 when somebody stopped it."
)
STATE = Metric(
    "llama_server_state",
    "stateset",
    "State of llama-server; exactly one is 1. For a server that is attached and not supervised: ready, loading, "
    "unresponsive or stopped, as its /health answers.",
    ("state",),
    tuple(State),
)
INFO = Metric(
    "llama_server_info",
    "info",
    "Build of the llama-server that answers, and how it is run: single or router (supervised), or attached.",
    ("build", "mode"),
)
START_TIME = Metric(
    "llama_server_start_time_seconds", "gauge", "Unix time at which the running llama-server process was started."
)
READY_SECONDS = Metric(
    "llama_server_ready_seconds",
    "gauge",
    "Seconds from the start of the running process to its first healthy answer: mostly the loading of the model.",
)
RESTARTS = Metric(
    "llama_server_restarts_total",
    "counter",
    "Restarts of llama-server by the exporter since the exporter started, by reason.",
    ("reason",),
)
EXITS = Metric(
    "llama_server_exits_total",
    "counter",
    "Ends of the llama-server process, wanted or not, by exit code (0 to 255) or name of the signal that ended it.",
    ("code",),
)
MODEL_INFO = Metric(
    "llama_model_info",
    "info",
    "The loaded model: quantization as llama-server calls it, and the file's name without its folder.",
    ("model", "quantization", "file"),
)
MODEL_PARAMETERS = Metric("llama_model_parameters", "gauge", "Number of parameters of the model.", ("model",))
MODEL_SIZE = Metric(
    "llama_model_size_bytes", "gauge", "Size of the model's tensors in bytes, without context and buffers.", ("model",)
)
MODEL_CONTEXT = Metric(
    "llama_model_context_tokens", "gauge", "Context in tokens that all slots of the model have together.", ("model",)
)
MODEL_TRAIN_CONTEXT = Metric(
    "llama_model_train_context_tokens", "gauge", "Context in tokens that the model was trained with.", ("model",)
)
MODEL_SLOTS = Metric("llama_model_slots", "gauge", "Slots: requests that the model works on at once.", ("model",))
