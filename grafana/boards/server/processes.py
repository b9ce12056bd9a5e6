"""llama-server's processes, and the exporter's own."""

from grafana.boards.server.rates import RATE, rate_of
from grafana.panels import GREEN, RED, YELLOW, stat, timeseries, value_mappings
from grafana.queries import (
    MODEL,
    SERVER,
    prom,
    threshold,
)

PROCESSES = [
    timeseries(
        "CPU",
        "CPUs that llama-server's processes keep busy: llama_server_process_cpu_seconds_total. The router's model is "
        "empty.",
        prom(rate_of("llama_server_process_cpu_seconds_total"), "{{model}} {{instance}}"),
        unit="short",
        empty="Not running",
    ),
    timeseries(
        "Memory",
        "Memory in RAM, mmapped weights included: llama_server_process_resident_memory_bytes.",
        prom(f"llama_server_process_resident_memory_bytes{{{MODEL}}}", "{{model}} {{instance}}"),
        unit="bytes",
        empty="Not running",
    ),
    timeseries(
        "Page faults from disk",
        "Faults that had to read from disk, a second: llama_server_process_major_page_faults_total. Many while "
        "requests run mean that the weights do not fit in memory.",
        prom(rate_of("llama_server_process_major_page_faults_total"), "{{model}} {{instance}}"),
        threshold("ModelPageFaults"),
        unit="ops",
        empty="Not running",
    ),
    timeseries(
        "Disk",
        "Bytes read and written a second: llama_server_process_read_bytes_total, "
        "llama_server_process_write_bytes_total.",
        prom(rate_of("llama_server_process_read_bytes_total"), "read {{model}} {{instance}}"),
        prom(rate_of("llama_server_process_write_bytes_total"), "written {{model}} {{instance}}"),
        unit="Bps",
        empty="Not running",
    ),
    timeseries(
        "Threads and files",
        "Threads (llama_server_process_threads) and open file descriptors (llama_server_process_open_fds).",
        prom(f"llama_server_process_threads{{{MODEL}}}", "threads {{model}} {{instance}}"),
        prom(f"llama_server_process_open_fds{{{MODEL}}}", "files {{model}} {{instance}}"),
        unit="short",
        empty="Not running",
    ),
    timeseries(
        "Exits",
        "Ends of the process by exit code or signal, in each interval: llama_server_exits_total. 0 and SIGTERM are "
        "stops that somebody asked for.",
        prom(f"sum by (code) (increase(llama_server_exits_total{{{SERVER}}}{RATE}))", "{{code}}"),
        unit="short",
        empty="It never ended",
        stack=True,
    ),
]


EXPORTER = [
    timeseries(
        "What the exporter costs",
        "CPUs that the exporter itself keeps busy: process_cpu_seconds_total.",
        prom(f"rate(process_cpu_seconds_total{{{SERVER}}}{RATE})", "CPU {{instance}}"),
        unit="short",
        empty="No exporter",
    ),
    timeseries(
        "Collectors",
        "Seconds that each collector took: llama_exporter_collector_duration_seconds.",
        prom(
            f"max by (collector) (llama_exporter_collector_duration_seconds{{{SERVER}}})",
            "{{collector}}",
        ),
        unit="s",
        empty="No exporter",
    ),
    timeseries(
        "Log lines",
        "Log records a second by level (llama_exporter_log_lines_total), and those given up because nobody read them "
        "(llama_exporter_log_lines_dropped_total).",
        prom(f"sum by (level) (rate(llama_exporter_log_lines_total{{{SERVER}}}{RATE}))", "{{level}}"),
        prom(f"sum(rate(llama_exporter_log_lines_dropped_total{{{SERVER}}}{RATE}))", "dropped"),
        unit="cps",
        empty="No exporter",
        stack=True,
    ),
    stat(
        "Collectors failing",
        "Collectors that did not give all they have: llama_exporter_collector_success.",
        prom(f"sum(1 - llama_exporter_collector_success{{{SERVER}}})", "failing"),
        unit="short",
        empty="No exporter",
        steps=((None, GREEN), (1, YELLOW)),
        width=8,
    ),
    stat(
        "Exporter's memory",
        "Memory in RAM of the exporter itself: process_resident_memory_bytes.",
        prom(f"process_resident_memory_bytes{{{SERVER}}}", "{{instance}}"),
        unit="bytes",
        empty="No exporter",
        width=8,
    ),
    stat(
        "Configuration",
        "1 when the last reload worked: llama_exporter_config_last_reload_successful.",
        prom(f"min(llama_exporter_config_last_reload_successful{{{SERVER}}})", "reload"),
        unit="short",
        empty="No exporter",
        mappings=value_mappings({"0": ("error", RED), "1": ("in force", GREEN)}),
        width=8,
    ),
]
