"""The server and its model: what state they are in and what they are (metrics of the supervisor)."""

from exporter.llama.roster import ModelState
from exporter.metrics.families import Metric
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
HTTP_REQUESTS = Metric(
    "llama_server_http_requests_total",
    "counter",
    "HTTP requests to llama-server by path and status code, without the exporter's own. Only of builds that log them "
    "(until spring 2026); absent elsewhere.",
    ("path", "code"),
)
MODEL_STATE = Metric(
    "llama_model_state",
    "stateset",
    "State of each model that the server knows; exactly one is 1. failed: its last process ended badly. Absent while "
    "the server does not answer.",
    ("model", "state"),
    tuple(ModelState),
)
MODEL_LOADS = Metric(
    "llama_model_loads_total",
    "counter",
    "Ended loads of the model since the exporter started: loaded or failed. Waking from sleep is no load. Without "
    "llama-server's events, a load and unload within a second of each other can be missed.",
    ("model", "result"),
)
MODEL_LOAD_SECONDS = Metric(
    "llama_model_load_seconds",
    "gauge",
    "Seconds of the last load of the model, from the start of its process; absent when that was not seen.",
    ("model",),
)
MODEL_EXIT_CODE = Metric(
    "llama_model_last_exit_code",
    "gauge",
    "Exit code of the model's last process; only for a model in state failed.",
    ("model",),
)
MODEL_INFO = Metric(
    "llama_model_info",
    "info",
    "The loaded model: architecture as its file says, where that is at hand, quantization as llama-server calls it, "
    "and the file's name without its folder.",
    ("model", "architecture", "quantization", "file"),
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
SLOT_PROCESSING = Metric(
    "llama_slot_processing", "gauge", "1 while the slot works on a request, else 0.", ("model", "slot")
)
SLOT_CONTEXT = Metric("llama_slot_context_tokens", "gauge", "Context in tokens that the slot has.", ("model", "slot"))
SLOT_USED = Metric(
    "llama_slot_used_tokens",
    "gauge",
    "Tokens of the slot's context that its running request has filled, prompt and generation; 0 when it works on none "
    "(what stays cached for the next request is not counted).",
    ("model", "slot"),
)
CONTEXT_USAGE = Metric(
    "llama_context_usage_ratio",
    "gauge",
    "Share of the context of all slots together (0 to 1) that running requests have filled.",
    ("model",),
)
PROMPT_PROGRESS = Metric(
    "llama_prompt_progress_ratio",
    "gauge",
    "Share of the prompt (0 to 1) that the slot has processed, as the log last told; only while it processes a prompt.",
    ("model", "slot"),
)
