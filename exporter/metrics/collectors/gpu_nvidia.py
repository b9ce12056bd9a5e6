"""GPUs of NVIDIA, through NVML."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pynvml

from exporter.gpu.driver import Driver, NoGpuError
from exporter.gpu.energy import ModelEnergy
from exporter.gpu.nvml import Device
from exporter.gpu.nvml_errors import DriverLostError, GpuLostError
from exporter.gpu.owners import Owners
from exporter.metrics.collectors.collector import NoData, Partial
from exporter.metrics.collectors.gpu import FamilyBuilder, GpuCollector
from exporter.metrics.definitions import gpu as catalog
from exporter.metrics.families import Family
from exporter.tasks import Border

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
"""By nvidia-smi's names. Left out: gpu_idle, which slows nothing down."""
ECC_KINDS = {
    "corrected": pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED,
    "uncorrected": pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
}
REOPEN_AFTER = 30.0
"""Seconds between attempts to open a driver that is not there, or from which a GPU is missing."""


class GpuNvidiaCollector(GpuCollector):
    """Reads NVML. `required` makes it a failure that there is no GPU. `root` is where `proc` is."""

    name = "gpu_nvidia"

    def __init__(
        self,
        processes: Callable[[], Mapping[str, int]],
        border: Border,
        *,
        required: bool = False,
        root: Path = Path("/"),
        every: float = 1.0,
        reopen_after: float = REOPEN_AFTER,
    ) -> None:
        gpus = NvidiaGpus(required=required, root=root, reopen_after=reopen_after)
        super().__init__(gpus, processes, border, every=every)


class NvidiaGpus:
    """All GPUs of NVIDIA and their MIG slices."""

    def __init__(self, *, required: bool, root: Path, reopen_after: float) -> None:
        self._required = required
        self._root = root
        self._driver = Driver(reopen_after)
        self._energy = ModelEnergy()
        self._pcie: dict[str, tuple[float | None, float | None]] = {}
        self._turn = -1

    def look(self, processes: Mapping[str, int]) -> list[Family]:
        """Read every GPU; one that fails costs the others nothing."""
        samples = FamilyBuilder()
        try:
            self._driver.require()
            problems = self._read(processes, samples)
        except NoGpuError as error:
            if not self._required:
                raise NoData from error
            raise OSError(f"metrics.collectors.gpu_nvidia is true, but {error}") from error
        except DriverLostError as error:
            problems = [str(error)]
        for labels, count in self._driver.xids.counts.items():
            samples.add(catalog.XID_ERRORS, count, *labels)
        for uuid, card in self._energy.cards.items():
            for model, joules in card.joules.items():
                samples.add(catalog.MODEL_ENERGY, joules, card.gpu, uuid, model)
        if self._driver.xids.problem is not None:
            problems.append(self._driver.xids.problem)
        if problems:
            raise Partial(samples.families(), "; ".join(problems))
        return samples.families()

    def _read(self, processes: Mapping[str, int], samples: FamilyBuilder) -> list[str]:
        """Add all GPUs; return what went wrong."""
        owners = Owners(processes, self._root)
        problems = list(self._driver.problems)
        answered = 0
        for gpu in self._driver.gpus:
            gpu.failures.clear()
            try:
                _read_gpu(gpu, self._driver.version, owners, samples)
                samples.add(catalog.ENERGY, self._energy.added_up(gpu.uuid), gpu.index, gpu.uuid)
                received, transmitted = self._pcie.get(gpu.uuid, (None, None))
                samples.add(catalog.PCIE_RECEIVED, received, gpu.index, gpu.uuid)
                samples.add(catalog.PCIE_TRANSMITTED, transmitted, gpu.index, gpu.uuid)
                answered += 1
            except GpuLostError as error:
                self._driver.lose_one()
                problems.append(f"GPU {gpu.index} ({gpu.uuid}): {error}")
            except DriverLostError as error:
                raise self._driver.lose(error) from error
            problems += [f"GPU {gpu.index} ({gpu.uuid}): {failure}" for failure in gpu.failures]
        samples.add(catalog.GPUS, answered, "nvidia")
        return problems

    def tick(self, processes: Mapping[str, int]) -> set[str]:
        """Read the energy of all GPUs and who used it, and sample the PCIe rates of the next one."""
        gpus = self._driver.gpus
        owners = Owners(processes, self._root)
        models: set[str] = set()
        # The next scrape meets a loss too, and reports it.
        with suppress(DriverLostError):
            for gpu in gpus:
                with suppress(GpuLostError):
                    models |= self._energy.read(gpu, owners)
            if gpus:
                self._turn = (self._turn + 1) % len(gpus)
                self._sample_pcie(gpus[self._turn])
        return models

    def _sample_pcie(self, gpu: Device) -> None:
        self._pcie.pop(gpu.uuid, None)
        with suppress(GpuLostError):
            self._pcie[gpu.uuid] = gpu.pcie(pynvml.NVML_PCIE_UTIL_RX_BYTES), gpu.pcie(pynvml.NVML_PCIE_UTIL_TX_BYTES)


def _read_gpu(gpu: Device, driver: str, owners: Owners, samples: FamilyBuilder) -> None:
    """Add all values of the GPU, its MIG slices included. Raise `GpuLostError`, `DriverLostError`."""
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
    # The card lists the slices' processes once more.
    for device in slices or (gpu,):
        _add_processes(device, owners, samples)
    for device in slices:
        gpu.failures += [f"MIG slice {device.index}: {failure}" for failure in device.failures]


def _add_memory(device: Device, samples: FamilyBuilder) -> None:
    memory = device.memory()
    if memory is not None:
        samples.add(catalog.MEMORY_TOTAL, memory.total, device.index, device.uuid)
        samples.add(catalog.MEMORY_USED, memory.used, device.index, device.uuid)
        samples.add(catalog.MEMORY_FREE, memory.free, device.index, device.uuid)


def _add_processes(device: Device, owners: Owners, samples: FamilyBuilder) -> None:
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
