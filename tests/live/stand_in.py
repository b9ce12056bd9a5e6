"""A page of metrics for what a test machine does not have: GPUs, a router with two models, a container's limits.

It speaks the text format, is scraped like an exporter, and its counters grow. Names and labels are checked against the
catalog; the numbers mean nothing.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GPU = 'gpu="0",uuid="GPU-0"'
STATES = ("unloaded", "loading", "loaded", "sleeping", "downloading", "failed")

GAUGES = {
    "llama_server_up": ("", 1),
    "llama_server_desired_state": ("", 1),
    "llama_server_info": ('build="b1",mode="router"', 1),
    "llama_exporter_build_info": ('version="0",python="3"', 1),
    "llama_model_info": ('model="alpha",architecture="llama",quantization="Q4_K",file="alpha.gguf"', 1),
    "llama_model_size_bytes": ('model="alpha"', 5e9),
    "llama_model_context_tokens": ('model="alpha"', 8192),
    "llama_model_slots": ('model="alpha"', 4),
    "llama_model_load_seconds": ('model="alpha"', 12),
    "llama_model_last_exit_code": ('model="beta"', 1),
    "llama_requests_running": ('model="alpha"', 2),
    "llama_requests_waiting": ('model="alpha"', 0),
    "llama_slot_processing": ('model="alpha",slot="0"', 1),
    "llama_slot_context_tokens": ('model="alpha",slot="0"', 2048),
    "llama_slot_used_tokens": ('model="alpha",slot="0"', 512),
    "llama_context_usage_ratio": ('model="alpha"', 0.25),
    "llama_prompt_progress_ratio": ('model="alpha",slot="0"', 0.5),
    "llama_gpus": ('vendor="nvidia"', 1),
    "llama_gpu_info": (f'{GPU},name="GPU",driver="1",vendor="nvidia"', 1),
    "llama_gpu_utilization_ratio": (GPU, 0.9),
    "llama_gpu_memory_utilization_ratio": (GPU, 0.8),
    "llama_gpu_fan_speed_ratio": (GPU, 0.5),
    "llama_gpu_memory_total_bytes": (GPU, 100),
    "llama_gpu_memory_used_bytes": (GPU, 60),
    "llama_gpu_memory_free_bytes": (GPU, 40),
    "llama_gpu_temperature_celsius": (f'{GPU},sensor="gpu"', 90),
    "llama_gpu_power_watts": (GPU, 300),
    "llama_gpu_power_limit_watts": (GPU, 450),
    "llama_gpu_clock_hertz": (f'{GPU},clock="graphics"', 2e9),
    "llama_gpu_throttle_active": (f'{GPU},reason="hw_thermal_slowdown"', 1),
    "llama_gpu_processes": (GPU, 1),
    "llama_gpu_pcie_received_bytes_per_second": (GPU, 1e6),
    "llama_gpu_pcie_transmitted_bytes_per_second": (GPU, 1e6),
    "llama_gpu_model_memory_bytes": (f'{GPU},model="alpha"', 50),
    "llama_container_memory_limit_bytes": ("", 100),
    "llama_container_memory_used_bytes": ("", 50),
    "llama_container_cpu_limit": ("", 2),
    "llama_host_swap_used_bytes": ("", 0),
}

COUNTERS = {
    "llama_generation_tokens_total": ('model="alpha"', 100),
    "llama_draft_tokens_total": ('model="alpha"', 100),
    "llama_draft_tokens_accepted_total": ('model="alpha"', 70),
    "llama_model_loads_total": ('model="alpha",result="loaded"', 0.05),
    "llama_gpu_energy_joules_total": (GPU, 300),
    "llama_gpu_model_energy_joules_total": (f'{GPU},model="alpha"', 290),
    "llama_gpu_ecc_errors_total": (f'{GPU},kind="corrected"', 0),
    "llama_gpu_xid_errors_total": (f'{GPU},xid="31"', 0.01),
    "llama_host_cpu_energy_joules_total": ('package="0"', 60),
    "llama_host_pressure_seconds_total": ('resource="memory",kind="some"', 0.1),
    "llama_host_disk_read_bytes_total": ('device="sda"', 1e6),
    "llama_host_disk_written_bytes_total": ('device="sda"', 1e6),
    "llama_host_network_received_bytes_total": ('device="eth0"', 1e6),
    "llama_host_network_transmitted_bytes_total": ('device="eth0"', 1e6),
    "llama_host_oom_kills_total": ("", 0),
    "llama_container_cpu_throttled_seconds_total": ("", 0.1),
}
"""Labels, and growth a second."""


def series() -> Iterator[tuple[str, str]]:
    """Name and labels of all that the page has."""
    yield from ((name, labels) for name, (labels, _) in {**GAUGES, **COUNTERS}.items())
    yield from (("llama_model_state", f'model="alpha",state="{state}"') for state in STATES)


def page(age: float) -> str:
    """The page after so many seconds. The model is loaded, and for a moment of every 20 seconds it is not."""
    state = "unloaded" if age % 20 < 3 else "loaded"
    lines = [f"{name}{{{labels}}} {value}" for name, (labels, value) in GAUGES.items()]
    lines += [f"{name}{{{labels}}} {rate * age:.3f}" for name, (labels, rate) in COUNTERS.items()]
    lines += [f'llama_model_state{{model="alpha",state="{name}"}} {int(name == state)}' for name in STATES]
    return "\n".join(lines) + "\n"


@contextmanager
def stand_in(port: int) -> Iterator[None]:
    """Serve the page."""
    began = time.monotonic()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page(time.monotonic() - began).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Every scrape would be a line."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
