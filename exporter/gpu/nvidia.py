"""One look at a GPU of NVIDIA: its values, and whose processes hold its memory."""

from collections import defaultdict

import pynvml

from exporter.gpu.nvml import Device
from exporter.gpu.owners import Owners
from exporter.gpu.samples import Samples
from exporter.metrics.definitions import gpu as catalog

CLOCKS = {
    "graphics": pynvml.NVML_CLOCK_GRAPHICS,
    "sm": pynvml.NVML_CLOCK_SM,
    "memory": pynvml.NVML_CLOCK_MEM,
    "video": pynvml.NVML_CLOCK_VIDEO,
}
THROTTLE_REASONS = {
    "applications_clocks_setting": pynvml.nvmlClocksThrottleReasonApplicationsClocksSetting,
    "sw_power_cap": pynvml.nvmlClocksThrottleReasonSwPowerCap,
    "hw_slowdown": pynvml.nvmlClocksThrottleReasonHwSlowdown,
    "sync_boost": pynvml.nvmlClocksThrottleReasonSyncBoost,
    "sw_thermal_slowdown": pynvml.nvmlClocksThrottleReasonSwThermalSlowdown,
    "hw_thermal_slowdown": pynvml.nvmlClocksThrottleReasonHwThermalSlowdown,
    "hw_power_brake_slowdown": pynvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown,
    "display_clocks_setting": pynvml.nvmlClocksThrottleReasonDisplayClockSetting,
}
"""By nvidia-smi's names. Left out: gpu_idle, which holds nothing down."""
ECC_KINDS = {
    "corrected": pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED,
    "uncorrected": pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
}


def read_gpu(gpu: Device, driver: str, owners: Owners, samples: Samples) -> None:
    """Add all that the GPU tells, its MIG slices included. Raise `GpuLostError`, `DriverLostError`."""
    which = gpu.index, gpu.uuid
    utilization, memory_utilization = gpu.utilization() or (None, None)
    samples.add(catalog.UTILIZATION, utilization, *which)
    samples.add(catalog.MEMORY_UTILIZATION, memory_utilization, *which)
    samples.add(catalog.FAN_SPEED, gpu.fan_speed(), *which)
    fields = gpu.fields()
    samples.add(catalog.TEMPERATURE, gpu.temperature(), *which, "gpu")
    samples.add(catalog.TEMPERATURE, fields.memory_temperature, *which, "memory")
    samples.add(catalog.POWER, gpu.power(), *which)
    samples.add(catalog.POWER_LIMIT, gpu.power_limit(), *which)
    samples.add(catalog.ENERGY, gpu.energy(), *which)
    for clock, kind in CLOCKS.items():
        samples.add(catalog.CLOCK, gpu.clock(kind), *which, clock)
    samples.add(catalog.NVLINK_RECEIVED, fields.nvlink_received, *which)
    samples.add(catalog.NVLINK_TRANSMITTED, fields.nvlink_transmitted, *which)
    active, known = gpu.throttle_reasons(), gpu.known_throttle_reasons
    for reason, bit in THROTTLE_REASONS.items():
        if active is not None and (known is None or known & bit):
            samples.add(catalog.THROTTLE, bool(active & bit), *which, reason)
    for kind, number in ECC_KINDS.items():
        samples.add(catalog.ECC_ERRORS, gpu.ecc_errors(number), *which, kind)
    slices = gpu.slices()
    for device in (gpu, *slices):
        _add_memory(device, samples)
        samples.add(catalog.INFO, 1, device.index, device.uuid, "nvidia", device.name, driver)
    # The card would list the slices' processes once more.
    for device in slices or (gpu,):
        _add_processes(device, owners, samples)
    for device in slices:
        gpu.failures += [f"MIG slice {device.index}: {failure}" for failure in device.failures]


def _add_memory(device: Device, samples: Samples) -> None:
    memory = device.memory()
    if memory is not None:
        samples.add(catalog.MEMORY_TOTAL, memory.total, device.index, device.uuid)
        samples.add(catalog.MEMORY_USED, memory.used, device.index, device.uuid)
        samples.add(catalog.MEMORY_FREE, memory.free, device.index, device.uuid)


def _add_processes(device: Device, owners: Owners, samples: Samples) -> None:
    processes = device.processes()
    if processes is None:
        return
    samples.add(catalog.PROCESSES, len(processes), device.index, device.uuid)
    held: defaultdict[str, list[int | None]] = defaultdict(list)
    for pid, size in processes.items():
        owner = owners.of(pid)
        if owner is not None:
            held[owner].append(size)
    for model, sizes in held.items():
        # A sum that lacks one would be wrong.
        total = None if None in sizes else sum(size for size in sizes if size is not None)
        samples.add(catalog.MODEL_MEMORY, total, device.index, device.uuid, model)
