"""The exporter itself. `llama_exporter_log_*` count llama-server's lines and the exporter's own."""

from exporter.metrics.families import Metric

BUILD_INFO = Metric(
    "llama_exporter_build_info", "info", "Versions of the exporter and of the Python it runs on.", ("version", "python")
)
COLLECTOR_DURATION = Metric(
    "llama_exporter_collector_duration_seconds",
    "gauge",
    "Seconds that the collector took in this scrape.",
    ("collector",),
)
COLLECTOR_SUCCESS = Metric(
    "llama_exporter_collector_success",
    "gauge",
    "1 when this scrape has everything from the collector (also when there is nothing of its kind here), 0 when it "
    "failed in part or missed the deadline.",
    ("collector",),
)
NATIVE_BAD_LINES = Metric(
    "llama_exporter_native_bad_lines",
    "gauge",
    "Lines of llama-server's last /metrics answer that were left out: not in the text format, repeated, or in conflict "
    "with another metric.",
    ("model",),
)
LOG_LINES = Metric(
    "llama_exporter_log_lines_total",
    "counter",
    "Log records read, by the stream they came on (stdout, stderr of llama-server; exporter for its own) and level. "
    "Lines in which a build logs the exporter's own requests are not counted.",
    ("stream", "level"),
)
LOG_PROBLEMS = Metric(
    "llama_exporter_log_problems_total",
    "counter",
    "Warnings and errors in llama-server's log by the component that wrote them; after 64 components: other.",
    ("component", "level"),
)
LOG_DROPPED = Metric(
    "llama_exporter_log_lines_dropped_total",
    "counter",
    "Log lines that were dropped because nothing read stdout fast enough.",
)
LOG_BYTES = Metric("llama_exporter_log_bytes_total", "counter", "Bytes of log read from llama-server.")
RELOAD_SUCCESSFUL = Metric(
    "llama_exporter_config_last_reload_successful",
    "gauge",
    "1 when the last load of the configuration succeeded, 0 when it had errors and the one before stays in force.",
)
RELOAD_TIME = Metric(
    "llama_exporter_config_last_reload_success_timestamp_seconds",
    "gauge",
    "Unix time of the last load of the configuration that succeeded.",
)
TASK_FAILURES = Metric(
    "llama_exporter_task_failures_total",
    "counter",
    "Failures of the exporter's own tasks and callbacks that were caught, logged and survived: bugs. By task, absent "
    "while there are none.",
    ("task",),
)
PROCESS_CPU = Metric("process_cpu_seconds_total", "counter", "CPU seconds, user and system, spent by the exporter.")
PROCESS_RSS = Metric("process_resident_memory_bytes", "gauge", "Resident memory of the exporter in bytes.")
PROCESS_VIRTUAL = Metric("process_virtual_memory_bytes", "gauge", "Virtual memory of the exporter in bytes.")
PROCESS_FDS = Metric("process_open_fds", "gauge", "Open file descriptors of the exporter.")
PROCESS_MAX_FDS = Metric("process_max_fds", "gauge", "Limit of open file descriptors of the exporter.")
PROCESS_START = Metric("process_start_time_seconds", "gauge", "Unix time at which the exporter started.")
