"""llama-server, its processes and its models.

Of the processes there is one a model; in router mode the router has one too, whose `model` is empty.
"""

from exporter.llama.api import ModelState
from exporter.metrics.families import Metric
from exporter.supervisor.states import State

UP = Metric("llama_server_up", "gauge", "1 when llama-server runs and its /health answers 200, else 0.")
DESIRED = Metric("llama_server_desired_state", "gauge", "1 when llama-server should be running, 0 after a stop.")
STATE = Metric(
    "llama_server_state",
    "stateset",
    "State of llama-server; exactly one is 1. An attached server is ready, loading, unresponsive or stopped, according "
    "to its /health.",
    ("state",),
    tuple(State),
)
INFO = Metric(
    "llama_server_info",
    "info",
    "Build of llama-server, and its mode: single or router (both supervised), or attached.",
    ("build", "mode"),
)
START_TIME = Metric(
    "llama_server_start_time_seconds", "gauge", "Unix time at which the running llama-server process was started."
)
READY_SECONDS = Metric(
    "llama_server_ready_seconds",
    "gauge",
    "Seconds from the start of the running process to its first healthy answer: mostly the time to load the model.",
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
    "Exits of the llama-server process, requested or not, by exit code (0 to 255) or name of the signal that ended it.",
    ("code",),
)
HTTP_REQUESTS = Metric(
    "llama_server_http_requests_total",
    "counter",
    "HTTP requests to llama-server by path and status code, without the exporter's own. Only builds until spring "
    "2026 log them; absent for others.",
    ("path", "code"),
)
PROCESS_CPU_SECONDS = Metric(
    "llama_server_process_cpu_seconds_total",
    "counter",
    "CPU seconds, user and system, that the process has used; its child processes are not included.",
    ("model",),
)
PROCESS_RESIDENT_MEMORY = Metric(
    "llama_server_process_resident_memory_bytes",
    "gauge",
    "Memory in bytes that the process has in RAM, including the resident part of mmapped weights, without GPU memory.",
    ("model",),
)
PROCESS_VIRTUAL_MEMORY = Metric(
    "llama_server_process_virtual_memory_bytes",
    "gauge",
    "Address space of the process in bytes, whether or not it is in RAM; a GPU driver may reserve far more than "
    "there is.",
    ("model",),
)
PROCESS_THREADS = Metric("llama_server_process_threads", "gauge", "Threads of the process.", ("model",))
PROCESS_OPEN_FDS = Metric("llama_server_process_open_fds", "gauge", "Open file descriptors of the process.", ("model",))
PROCESS_MAJOR_PAGE_FAULTS = Metric(
    "llama_server_process_major_page_faults_total",
    "counter",
    "Page faults of the process that had to read from disk: growing while requests run means that mmapped weights do "
    "not fit in memory.",
    ("model",),
)
PROCESS_READ_BYTES = Metric(
    "llama_server_process_read_bytes_total",
    "counter",
    "Bytes that the process caused to be read from disk, page faults on mmapped weights included; reads served from "
    "cache are not.",
    ("model",),
)
PROCESS_WRITE_BYTES = Metric(
    "llama_server_process_write_bytes_total",
    "counter",
    "Bytes that the process caused to be written to disk.",
    ("model",),
)

MODEL_STATE = Metric(
    "llama_model_state",
    "stateset",
    "State of each model that the server knows; exactly one is 1. failed: its last process exited with an error. "
    "Absent while the server does not answer.",
    ("model", "state"),
    tuple(ModelState),
)
MODEL_LOADS = Metric(
    "llama_model_loads_total",
    "counter",
    "Loads of the model since the exporter started, by result: loaded or failed. Waking from sleep is no load. Without "
    "llama-server's events, a load and unload within a second of each other can be missed.",
    ("model", "result"),
)
MODEL_LOAD_SECONDS = Metric(
    "llama_model_load_seconds",
    "gauge",
    "Seconds that the last load of the model took, from the start of its process; absent if that was not seen.",
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
    "The loaded model: architecture from its file, where the exporter can read it, quantization as llama-server calls "
    "it, and the file's name without its folder.",
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
    "Share of the prompt (0 to 1) that the slot has processed, according to the log; only while it processes a prompt.",
    ("model", "slot"),
)
