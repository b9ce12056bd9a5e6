"""GPUs, one schema whatever the vendor.

`gpu` is the driver's index (0, 1, ...; 0:0 is the first MIG slice of the first card, as NVIDIA's container toolkit
writes it), counted for each vendor; `uuid` is unique. What a device does not report is absent, not 0. For a card with
MIG slices, processes are in the rows of the slices, and memory in both.
"""

from exporter.metrics.families import Metric

WHICH = ("gpu", "uuid")

GPUS = Metric(
    "llama_gpus",
    "gauge",
    "GPUs that answered in this scrape, by vendor; MIG slices are not counted. A lost GPU lowers it.",
    ("vendor",),
)
INFO = Metric(
    "llama_gpu_info",
    "info",
    "The GPU or MIG slice: vendor, name, version of the driver. gpu is its index among the vendor's.",
    (*WHICH, "vendor", "name", "driver"),
)
UTILIZATION = Metric(
    "llama_gpu_utilization_ratio",
    "gauge",
    "Share of the last moments (up to a second) in which the GPU worked on anything at all, 0 to 1; 1 does not mean "
    "full load.",
    WHICH,
)
MEMORY_UTILIZATION = Metric(
    "llama_gpu_memory_utilization_ratio",
    "gauge",
    "Share of the last moments (up to a second) in which the GPU's memory was read or written, 0 to 1; not how full it "
    "is.",
    WHICH,
)
FAN_SPEED = Metric(
    "llama_gpu_fan_speed_ratio",
    "gauge",
    "Speed of the fan as a share of its maximum: measured with AMD, the target with NVIDIA, where it may exceed 1.",
    WHICH,
)
MEMORY_TOTAL = Metric(
    "llama_gpu_memory_total_bytes",
    "gauge",
    "Memory of the GPU (VRAM) in bytes. A MIG slice has a part of its card's: do not add them up.",
    WHICH,
)
MEMORY_USED = Metric(
    "llama_gpu_memory_used_bytes",
    "gauge",
    "Memory of the GPU in bytes that programs have allocated, without what the driver reserves for itself where it "
    "reports that.",
    WHICH,
)
MEMORY_FREE = Metric(
    "llama_gpu_memory_free_bytes", "gauge", "Memory of the GPU in bytes that programs can still allocate.", WHICH
)
GTT_TOTAL = Metric(
    "llama_gpu_gtt_total_bytes",
    "gauge",
    "System memory in bytes that the GPU may use as its own (GTT of AMD); on APUs models are mostly here.",
    WHICH,
)
GTT_USED = Metric(
    "llama_gpu_gtt_used_bytes", "gauge", "System memory in bytes that the GPU uses as its own (GTT of AMD).", WHICH
)
TEMPERATURE = Metric(
    "llama_gpu_temperature_celsius",
    "gauge",
    "Temperature in degrees Celsius by sensor: gpu and memory with NVIDIA; edge, junction (the hottest spot) and "
    "memory with AMD; the driver's names elsewhere.",
    (*WHICH, "sensor"),
)
POWER = Metric(
    "llama_gpu_power_watts",
    "gauge",
    "Watts that the whole card draws, averaged over up to a second or of this moment, as the driver gives it.",
    WHICH,
)
POWER_LIMIT = Metric(
    "llama_gpu_power_limit_watts",
    "gauge",
    "Power limit of the card in watts; under load it lowers its clocks to keep it.",
    WHICH,
)
ENERGY = Metric(
    "llama_gpu_energy_joules_total",
    "counter",
    "Joules that the card has used: the driver's own counter where there is one, otherwise its power, read once a "
    "second and added up since the exporter first saw it.",
    WHICH,
)
MODEL_ENERGY = Metric(
    "llama_gpu_model_energy_joules_total",
    "counter",
    "Joules of the card since the exporter first saw it, attributed to the model that used them: each second's are "
    "divided among processes by their share of the GPU's work (NVML's process utilization). Where the driver reports "
    "no shares, a busy second goes to the model that is alone on the GPU. model is other for foreign processes, and "
    "empty when no process used the GPU or the driver cannot tell which. NVIDIA only.",
    (*WHICH, "model"),
)
CLOCK = Metric(
    "llama_gpu_clock_hertz",
    "gauge",
    "Clock in hertz now: graphics and memory, with NVIDIA sm and video too.",
    (*WHICH, "clock"),
)
PCIE_RECEIVED = Metric(
    "llama_gpu_pcie_received_bytes_per_second",
    "gauge",
    "Bytes a second that the GPU received over PCIe in the last sample: 20 ms, taken each second of one GPU in turn.",
    WHICH,
)
PCIE_TRANSMITTED = Metric(
    "llama_gpu_pcie_transmitted_bytes_per_second",
    "gauge",
    "Bytes a second that the GPU sent over PCIe in the last sample: 20 ms, taken each second of one GPU in turn.",
    WHICH,
)
NVLINK_RECEIVED = Metric(
    "llama_gpu_nvlink_received_bytes_total",
    "counter",
    "Bytes of data that the GPU received over all its NVLinks since the driver was loaded.",
    WHICH,
)
NVLINK_TRANSMITTED = Metric(
    "llama_gpu_nvlink_transmitted_bytes_total",
    "counter",
    "Bytes of data that the GPU sent over all its NVLinks since the driver was loaded.",
    WHICH,
)
THROTTLE = Metric(
    "llama_gpu_throttle_active",
    "gauge",
    "1 while the reason limits the clocks, else 0; all reasons that the GPU knows are listed, except that it is idle.",
    (*WHICH, "reason"),
)
ECC_ERRORS = Metric(
    "llama_gpu_ecc_errors_total",
    "counter",
    "Memory errors found since the driver was loaded, in all memories of the GPU; kind is corrected or "
    "uncorrected. Absent without ECC.",
    (*WHICH, "kind"),
)
XID_ERRORS = Metric(
    "llama_gpu_xid_errors_total",
    "counter",
    "XID errors that the driver reported since the exporter first saw the GPU, by number. The serious ones are listed "
    "at 0 from the start, which shows that they are watched.",
    (*WHICH, "xid"),
)
PROCESSES = Metric(
    "llama_gpu_processes",
    "gauge",
    "Processes that hold the GPU, llama-server's and foreign ones, as far as the driver shows them: inside a container "
    "possibly only the container's.",
    WHICH,
)
MODEL_MEMORY = Metric(
    "llama_gpu_model_memory_bytes",
    "gauge",
    "Memory of the GPU in bytes that llama-server's process for the model and its children hold; system memory for a "
    "GPU without memory of its own. model is other for all processes that are not llama-server's (NVIDIA only). A "
    "process for which the driver reports another PID, as it may in a container, is not counted at all.",
    (*WHICH, "model"),
)
MODEL_GTT = Metric(
    "llama_gpu_model_gtt_bytes",
    "gauge",
    "System memory in bytes that llama-server's process for the model and its children have mapped for the GPU (GTT of "
    "AMD).",
    (*WHICH, "model"),
)

ALL = tuple(value for value in tuple(globals().values()) if isinstance(value, Metric))
"""What a collector of GPUs may yield, in the order of the page."""
