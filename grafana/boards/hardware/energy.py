"""Power, energy, PCIe and errors of GPUs."""

from grafana.boards.hardware.rates import ON_GPU, RATE, host, rate_of
from grafana.panels import stat, timeseries
from grafana.queries import GPU, now, prom

ENERGY = [
    timeseries(
        "Power of GPUs",
        "Watts of each GPU (llama_gpu_power_watts) and its limit (llama_gpu_power_limit_watts).",
        prom(f"llama_gpu_power_watts{{{GPU}}}", ON_GPU),
        prom(f"llama_gpu_power_limit_watts{{{GPU}}}", f"limit {ON_GPU}"),
        unit="watt",
        empty="No GPU",
    ),
    timeseries(
        "Power of CPUs",
        "Watts of the CPU packages, where readable: llama_host_cpu_energy_joules_total.",
        prom(rate_of("llama_host_cpu_energy_joules_total", "instance, package"), "{{instance}} package {{package}}"),
        unit="watt",
        empty="Not readable (RAPL, usually root only)",
    ),
    stat(
        "Energy of GPUs",
        "Energy that the GPUs used in the time range above: llama_gpu_energy_joules_total.",
        now(prom(f"sum(increase(llama_gpu_energy_joules_total{{{GPU}}}[$__range]))", "GPUs")),
        unit="joule",
        empty="No GPU",
        width=8,
        height=8,
    ),
    timeseries(
        "Energy by model",
        "Watts of each model's share of the GPUs, where the driver tells shares: llama_gpu_model_energy_joules_total.",
        prom(rate_of("llama_gpu_model_energy_joules_total", "model", GPU), "{{model}}"),
        unit="watt",
        empty="No GPU that tells (NVIDIA)",
        stack=True,
    ),
    timeseries(
        "PCIe",
        "Bytes a second over PCIe: llama_gpu_pcie_received_bytes_per_second, "
        "llama_gpu_pcie_transmitted_bytes_per_second. Much of it while tokens are made means that a part of the model "
        "is not on the GPU.",
        prom(f"llama_gpu_pcie_received_bytes_per_second{{{GPU}}}", f"received {ON_GPU}"),
        prom(f"llama_gpu_pcie_transmitted_bytes_per_second{{{GPU}}}", f"transmitted {ON_GPU}"),
        unit="Bps",
        empty="No GPU that tells",
    ),
    timeseries(
        "Errors",
        "Errors in each interval: Xid of NVIDIA's driver (llama_gpu_xid_errors_total), memory errors "
        "(llama_gpu_ecc_errors_total).",
        prom(
            f"sum by (instance, gpu, xid) (increase(llama_gpu_xid_errors_total{{{GPU}}}{RATE}))",
            "Xid {{xid}} " + ON_GPU,
        ),
        prom(
            f"sum by (instance, gpu, kind) (increase(llama_gpu_ecc_errors_total{{{GPU}}}{RATE}))",
            "ECC {{kind}} " + ON_GPU,
        ),
        unit="short",
        empty="No GPU that tells (NVIDIA)",
        stack=True,
    ),
    timeseries(
        "GPUs there",
        "Number of GPUs; a fall is GPULost: llama_gpus.",
        prom(host("llama_gpus"), "{{instance}}"),
        unit="short",
        empty="No GPU",
        width=24,
        height=5,
    ),
]
