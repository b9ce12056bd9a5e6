"""The machine and the container."""

from grafana import links
from grafana.boards.hardware.rates import RATE, host, rate_of
from grafana.panels import GREEN, RED, stat, timeseries
from grafana.queries import SERVER, now, prom, ratio, threshold

HOST = [
    timeseries(
        "CPU by mode",
        "CPUs that are busy, by what with: llama_host_cpu_seconds_total. There are llama_host_cpus of them.",
        prom(
            f'sum by (mode) (rate(llama_host_cpu_seconds_total{{{SERVER},mode!="idle"}}{RATE}))',
            "{{mode}}",
        ),
        prom(f"sum({host('llama_host_cpus')})", "all CPUs"),
        unit="short",
        empty="No host",
    ),
    timeseries(
        "Load",
        "Tasks that run or wait, for each CPU: llama_host_load, llama_host_cpus.",
        prom(
            f"{host('llama_host_load')} / on (job, instance) group_left () {host('llama_host_cpus')}",
            "{{instance}} {{window}}",
        ),
        unit="short",
        empty="No host",
    ),
    timeseries(
        "Memory",
        "Share of the memory that is available (llama_host_memory_available_bytes, llama_host_memory_total_bytes), "
        "cached files such as mmapped weights included. Below the threshold HostMemoryLow fires.",
        prom(
            ratio(host("llama_host_memory_available_bytes"), host("llama_host_memory_total_bytes")),
            "available {{instance}}",
        ),
        threshold("HostMemoryLow"),
        unit="percentunit",
        empty="No host",
        max=1,
        links=links.server_of_series(),
    ),
    timeseries(
        "Memory by use",
        "Bytes used (llama_host_memory_used_bytes), of cached files (llama_host_memory_cached_bytes), of swap in use "
        "(llama_host_swap_used_bytes).",
        prom(f"sum({host('llama_host_memory_used_bytes')})", "used"),
        prom(f"sum({host('llama_host_memory_cached_bytes')})", "cached files"),
        prom(f"sum({host('llama_host_swap_used_bytes')})", "swap"),
        unit="bytes",
        empty="No host",
    ),
    timeseries(
        "Pressure",
        "Share of time in which some tasks, or all (full), stood still for want of CPU, memory or disk: "
        "llama_host_pressure_seconds_total.",
        prom(
            f"max by (resource, kind) (rate(llama_host_pressure_seconds_total{{{SERVER}}}{RATE}))",
            "{{resource}} {{kind}}",
        ),
        unit="percentunit",
        empty="No PSI in this kernel",
    ),
    timeseries(
        "Page faults from disk",
        "Faults of llama-server that had to read from disk, a second: llama_server_process_major_page_faults_total.",
        prom(rate_of("llama_server_process_major_page_faults_total", "instance"), "{{instance}}"),
        threshold("ModelPageFaults"),
        unit="ops",
        empty="Not running",
        links=links.server_of_series()[1:],
    ),
    timeseries(
        "Disk",
        "Bytes a second of all disks: llama_host_disk_read_bytes_total, llama_host_disk_written_bytes_total.",
        prom(rate_of("llama_host_disk_read_bytes_total", "instance, device"), "read {{instance}} {{device}}"),
        prom(rate_of("llama_host_disk_written_bytes_total", "instance, device"), "written {{instance}} {{device}}"),
        unit="Bps",
        empty="No disk",
    ),
    timeseries(
        "Room for models",
        "Share of the filesystems of the models that is available: llama_host_filesystem_available_bytes, "
        "llama_host_filesystem_size_bytes. Below the threshold DiskFillingUp fires.",
        prom(
            ratio(host("llama_host_filesystem_available_bytes"), host("llama_host_filesystem_size_bytes")),
            "{{instance}} {{mountpoint}}",
        ),
        threshold("DiskFillingUp"),
        unit="percentunit",
        empty="No model file",
        max=1,
    ),
    timeseries(
        "Network",
        "Bytes a second: llama_host_network_received_bytes_total, llama_host_network_transmitted_bytes_total.",
        prom(
            rate_of("llama_host_network_received_bytes_total", "instance, device"), "received {{instance}} {{device}}"
        ),
        prom(
            rate_of("llama_host_network_transmitted_bytes_total", "instance, device"),
            "transmitted {{instance}} {{device}}",
        ),
        unit="Bps",
        empty="No network",
    ),
    stat(
        "Killed for want of memory",
        "Processes that the kernel killed in the time range above: llama_host_oom_kills_total.",
        now(prom(f"sum(increase({host('llama_host_oom_kills_total')}[$__range]))", "killed")),
        unit="short",
        empty="No host",
        decimals=0,
        width=12,
        steps=((None, GREEN), (0.5, RED)),
    ),
    stat(
        "Host up for",
        "Time since the host was booted: llama_host_boot_time_seconds.",
        prom(f"time() - {host('llama_host_boot_time_seconds')}", "{{instance}}"),
        unit="dtdurations",
        empty="No host",
        width=12,
    ),
]


CONTAINER = [
    timeseries(
        "Memory of the container",
        "Memory that the container uses (llama_container_memory_used_bytes) and its limit "
        "(llama_container_memory_limit_bytes).",
        prom(host("llama_container_memory_used_bytes"), "used {{instance}}"),
        prom(host("llama_container_memory_limit_bytes"), "limit {{instance}}"),
        unit="bytes",
        empty="No container",
    ),
    timeseries(
        "CPU limit",
        "CPUs whose time the container may use: llama_container_cpu_limit.",
        prom(host("llama_container_cpu_limit"), "{{instance}}"),
        unit="short",
        empty="No limit",
    ),
    timeseries(
        "Held back by the CPU limit",
        "Seconds a second that the container was held back, added up over CPUs: "
        "llama_container_cpu_throttled_seconds_total.",
        prom(rate_of("llama_container_cpu_throttled_seconds_total", "instance"), "{{instance}}"),
        unit="short",
        empty="No limit",
    ),
]
