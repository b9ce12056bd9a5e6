"""The host, and the container around the server. Inside a container `/proc` shows mostly the host."""

from exporter.metrics.families import Metric

CPU_SECONDS = Metric(
    "llama_host_cpu_seconds_total",
    "counter",
    "Seconds that all CPUs together spent in each mode since boot (guests count as user). Of the host, also when the "
    "exporter runs in a container.",
    ("mode",),
)
CPUS = Metric(
    "llama_host_cpus",
    "gauge",
    "Logical CPUs that are online. Of the host; see llama_container_cpu_limit for the container's.",
)
LOAD = Metric(
    "llama_host_load",
    "gauge",
    "Load average over 1m, 5m and 15m: tasks that run or wait for CPU or disk. Of the host, also inside a container.",
    ("window",),
)
MEMORY_TOTAL = Metric(
    "llama_host_memory_total_bytes",
    "gauge",
    "Memory in bytes that the kernel has. Of the host; see llama_container_memory_limit_bytes for the container's.",
)
MEMORY_AVAILABLE = Metric(
    "llama_host_memory_available_bytes",
    "gauge",
    "Memory in bytes that programs can get without swapping, as the kernel estimates it: free memory and cache that "
    "can be dropped, so the cached part of mmapped weights counts as available. Of the host.",
)
MEMORY_USED = Metric(
    "llama_host_memory_used_bytes", "gauge", "Memory in bytes that is not available: total less available. Of the host."
)
MEMORY_CACHED = Metric(
    "llama_host_memory_cached_bytes",
    "gauge",
    "Memory in bytes that holds contents of files, including page cache, shared memory and tmpfs: mmapped weights are "
    "here. Of the host. Without the ARC of ZFS.",
)
SWAP_TOTAL = Metric("llama_host_swap_total_bytes", "gauge", "Swap space in bytes, 0 without swap. Of the host.")
SWAP_USED = Metric("llama_host_swap_used_bytes", "gauge", "Swap space in bytes that is in use. Of the host.")
DISK_READ = Metric(
    "llama_host_disk_read_bytes_total",
    "counter",
    "Bytes read from each physical disk; partitions, RAID, LVM and loop devices are not listed, their disks are. Of "
    "the host, also when the exporter runs in a container.",
    ("device",),
)
DISK_WRITTEN = Metric(
    "llama_host_disk_written_bytes_total",
    "counter",
    "Bytes written to each physical disk; partitions, RAID, LVM and loop devices are not listed, their disks are. Of "
    "the host, also when the exporter runs in a container.",
    ("device",),
)
NETWORK_RECEIVED = Metric(
    "llama_host_network_received_bytes_total",
    "counter",
    "Bytes received by each physical network device, or by each but loopback where none is physical. Inside a "
    "container with a network of its own: the container's.",
    ("device",),
)
NETWORK_TRANSMITTED = Metric(
    "llama_host_network_transmitted_bytes_total",
    "counter",
    "Bytes transmitted by each physical network device, or by each but loopback where none is physical. Inside a "
    "container with a network of its own: the container's.",
    ("device",),
)
FILESYSTEM_SIZE = Metric(
    "llama_host_filesystem_size_bytes",
    "gauge",
    "Size in bytes of each filesystem where model files lie or are to lie. Inside a container: of the host's "
    "filesystem that is mounted there, named by the container's mountpoint.",
    ("mountpoint",),
)
FILESYSTEM_AVAILABLE = Metric(
    "llama_host_filesystem_available_bytes",
    "gauge",
    "Bytes that users other than root can still write to each filesystem where model files lie or are to lie. Inside a "
    "container: of the host's filesystem that is mounted there, named by the container's mountpoint.",
    ("mountpoint",),
)
PRESSURE = Metric(
    "llama_host_pressure_seconds_total",
    "counter",
    "Seconds in which some tasks, or all (full), were stalled on cpu, memory or io (Linux PSI). Of the host, also "
    "inside a container.",
    ("resource", "kind"),
)
OOM_KILLS = Metric(
    "llama_host_oom_kills_total",
    "counter",
    "Processes killed since boot because the host or any container on it ran out of memory. Of the host.",
)
BOOT_TIME = Metric("llama_host_boot_time_seconds", "gauge", "Unix time at which the host was booted.")
CPU_ENERGY = Metric(
    "llama_host_cpu_energy_joules_total",
    "counter",
    "Joules used by each CPU package, cores and caches but not memory, since the exporter first saw it (RAPL; usually "
    "readable by root only). Of the host, also when the exporter runs in a container.",
    ("package",),
)

CONTAINER_MEMORY_LIMIT = Metric(
    "llama_container_memory_limit_bytes",
    "gauge",
    "Memory in bytes that the container may use: the lowest limit of its cgroup and of those above that it can see. "
    "Absent without a limit. Outside of a container: of the exporter's service or session.",
)
CONTAINER_MEMORY_USED = Metric(
    "llama_container_memory_used_bytes",
    "gauge",
    "Memory in bytes that the container uses, less file cache not used lately (as kubectl top and docker stats count); "
    "mmapped weights in active use count. Outside of a container: of the exporter's service or session.",
)
CONTAINER_CPU_LIMIT = Metric(
    "llama_container_cpu_limit",
    "gauge",
    "CPUs whose time the container may use (quota / period): the lowest of its cgroup and of those above that it can "
    "see; cpusets do not count. Absent without a limit. Outside of a container: of the exporter's service or session.",
)
CONTAINER_THROTTLED = Metric(
    "llama_container_cpu_throttled_seconds_total",
    "counter",
    "Seconds that the container was throttled by its CPU limit and by those above that it can see, summed over CPUs. "
    "Outside of a container: of the exporter's service or session.",
)
