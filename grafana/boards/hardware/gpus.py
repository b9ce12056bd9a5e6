"""GPUs: memory, clocks, heat."""

from grafana import links
from grafana.boards.hardware.rates import BY_GPU, ON_GPU
from grafana.panels import GREEN, ORANGE, RED, YELLOW, timeline, timeseries, value_mappings
from grafana.queries import GPU, cells, prom, ratio, threshold
from grafana.tables import Column, table

CARDS = [
    table(
        "GPUs",
        "One row a GPU: llama_gpu_info, llama_gpu_utilization_ratio, llama_gpu_memory_used_bytes, "
        "llama_gpu_memory_total_bytes, llama_gpu_temperature_celsius (the hottest sensor), llama_gpu_power_watts, "
        "llama_gpu_power_limit_watts, llama_gpu_processes.",
        {"job": "Job", "instance": "Instance", "gpu": "GPU", "name": "Name", "driver": "Driver", "vendor": "Vendor"},
        [
            Column("Info", cells(f"llama_gpu_info{{{GPU}}}"), hidden=True),
            Column(
                "Busy",
                cells(f"max by ({BY_GPU}) (llama_gpu_utilization_ratio{{{GPU}}})"),
                unit="percentunit",
            ),
            Column("Memory used", cells(f"max by ({BY_GPU}) (llama_gpu_memory_used_bytes{{{GPU}}})"), unit="bytes"),
            Column("Memory", cells(f"max by ({BY_GPU}) (llama_gpu_memory_total_bytes{{{GPU}}})"), unit="bytes"),
            Column(
                "Temperature",
                cells(f"max by ({BY_GPU}) (llama_gpu_temperature_celsius{{{GPU}}})"),
                unit="celsius",
                steps=((None, GREEN), (80, YELLOW), (90, RED)),
            ),
            Column("Power", cells(f"max by ({BY_GPU}) (llama_gpu_power_watts{{{GPU}}})"), unit="watt"),
            Column("Power limit", cells(f"max by ({BY_GPU}) (llama_gpu_power_limit_watts{{{GPU}}})"), unit="watt"),
            Column("Processes", cells(f"max by ({BY_GPU}) (llama_gpu_processes{{{GPU}}})")),
        ],
        links={"Instance": links.server_of_row()},
        hide=("uuid",),
        empty="No GPU",
        height=7,
    ),
    timeseries(
        "Memory in use",
        "Share of each GPU's memory: llama_gpu_memory_used_bytes, llama_gpu_memory_total_bytes. At the threshold "
        "GPUMemoryNearlyFull fires.",
        prom(ratio(f"llama_gpu_memory_used_bytes{{{GPU}}}", f"llama_gpu_memory_total_bytes{{{GPU}}}"), ON_GPU),
        threshold("GPUMemoryNearlyFull"),
        unit="percentunit",
        empty="No GPU",
        max=1,
        links=links.server_of_series(),
    ),
    timeseries(
        "Memory by model",
        "GPU memory that each model holds; other is of programs that are not llama-server: "
        "llama_gpu_model_memory_bytes. What is free is llama_gpu_memory_free_bytes.",
        prom(f"sum by (model) (llama_gpu_model_memory_bytes{{{GPU}}})", "{{model}}"),
        prom(f"sum(llama_gpu_memory_free_bytes{{{GPU}}})", "free"),
        unit="bytes",
        empty="No GPU",
        stack=True,
    ),
    timeseries(
        "Busy",
        "Share of time in which the GPU computed (llama_gpu_utilization_ratio), and in which its memory was read or "
        "written (llama_gpu_memory_utilization_ratio): generation waits for memory.",
        prom(f"llama_gpu_utilization_ratio{{{GPU}}}", f"computes {ON_GPU}"),
        prom(f"llama_gpu_memory_utilization_ratio{{{GPU}}}", f"memory {ON_GPU}"),
        unit="percentunit",
        empty="No GPU",
        max=1,
        links=links.server_of_series(),
    ),
    timeseries(
        "Clocks",
        "Clocks of each GPU, which fall when it is throttled or idle: llama_gpu_clock_hertz.",
        prom(f"llama_gpu_clock_hertz{{{GPU}}}", "{{clock}} " + ON_GPU),
        unit="hertz",
        empty="No GPU",
    ),
    timeseries(
        "Temperature",
        "Degrees Celsius by sensor: llama_gpu_temperature_celsius. At the threshold GPUTemperatureHigh fires, not for "
        "sensors of memory.",
        prom(f"llama_gpu_temperature_celsius{{{GPU}}}", "{{sensor}} " + ON_GPU),
        threshold("GPUTemperatureHigh"),
        unit="celsius",
        empty="No GPU",
    ),
    timeseries(
        "Fans",
        "Speed of the fans as a share of their maximum: llama_gpu_fan_speed_ratio.",
        prom(f"llama_gpu_fan_speed_ratio{{{GPU}}}", ON_GPU),
        unit="percentunit",
        empty="No fan that tells",
        max=1,
    ),
    timeline(
        "Throttled",
        "Why the clocks of a GPU are held down: llama_gpu_throttle_active. The software power cap is the normal "
        "brake of a busy GPU.",
        prom(f"llama_gpu_throttle_active{{{GPU}}}", "{{reason}} " + ON_GPU),
        mappings=value_mappings({"0": ("no", "transparent"), "1": ("throttled", ORANGE)}),
        empty="No GPU that tells (NVIDIA)",
        height=8,
    ),
]
