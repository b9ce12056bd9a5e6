"""llama-server's own processes: one a model, and in router mode the router itself, whose `model` is empty."""

from exporter.metrics.families import Metric

CPU_SECONDS = Metric(
    "llama_server_process_cpu_seconds_total",
    "counter",
    "CPU seconds, user and system, that the process has used; its child processes are not included.",
    ("model",),
)
RESIDENT_MEMORY = Metric(
    "llama_server_process_resident_memory_bytes",
    "gauge",
    "Memory in bytes that the process has in RAM, the resident part of mmapped weights included. GPU memory is not.",
    ("model",),
)
VIRTUAL_MEMORY = Metric(
    "llama_server_process_virtual_memory_bytes",
    "gauge",
    "Address space of the process in bytes, whether or not it is in RAM; a GPU driver may reserve far more than "
    "there is.",
    ("model",),
)
THREADS = Metric("llama_server_process_threads", "gauge", "Threads of the process.", ("model",))
OPEN_FDS = Metric("llama_server_process_open_fds", "gauge", "Open file descriptors of the process.", ("model",))
MAJOR_PAGE_FAULTS = Metric(
    "llama_server_process_major_page_faults_total",
    "counter",
    "Page faults of the process that had to read from disk: growing while requests run means that mmapped weights do "
    "not fit in memory.",
    ("model",),
)
READ_BYTES = Metric(
    "llama_server_process_read_bytes_total",
    "counter",
    "Bytes that the process caused to be read from disk, page faults on mmapped weights included; reads served from "
    "cache are not.",
    ("model",),
)
WRITE_BYTES = Metric(
    "llama_server_process_write_bytes_total",
    "counter",
    "Bytes that the process caused to be written to disk.",
    ("model",),
)
