"""GPUs of NVIDIA, through NVML."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pynvml

from exporter.gpu.driver import Driver, NoGpuError
from exporter.gpu.energy import ModelEnergy, PowerIntegral
from exporter.gpu.nvidia import read_gpu
from exporter.gpu.nvml import Device
from exporter.gpu.nvml_errors import DriverLostError, GpuLostError
from exporter.gpu.owners import Owners
from exporter.gpu.samples import Samples
from exporter.metrics.collectors.collector import NoData, Partial
from exporter.metrics.collectors.gpu import GpuCollector
from exporter.metrics.definitions import gpu as catalog
from exporter.metrics.families import Family

REOPEN_AFTER = 30.0
"""Seconds between attempts to open a driver that is not there, or from which a GPU is missing."""


class GpuNvidiaCollector(GpuCollector):
    """Reads NVML. `required` makes it a failure that there is no GPU. `root` is where `proc` lies."""

    name = "gpu_nvidia"

    def __init__(
        self,
        processes: Callable[[], Mapping[str, int]],
        *,
        required: bool = False,
        root: Path = Path("/"),
        every: float = 1.0,
        reopen_after: float = REOPEN_AFTER,
    ) -> None:
        super().__init__(NvidiaGpus(required=required, root=root, reopen_after=reopen_after), processes, every=every)


class NvidiaGpus:
    """All GPUs of NVIDIA and their MIG slices."""

    def __init__(self, *, required: bool, root: Path, reopen_after: float) -> None:
        self._required = required
        self._root = root
        self._driver = Driver(reopen_after)
        self._integral = PowerIntegral()
        self._counting: set[str] = set()
        self._models = ModelEnergy()
        self._pcie: dict[str, tuple[float | None, float | None]] = {}
        self._turn = -1

    def look(self, processes: Mapping[str, int]) -> list[Family]:
        """Read every GPU; one that fails leaves the others in place."""
        samples = Samples()
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
        for uuid, account in self._models.accounts.items():
            for model, joules in account.joules.items():
                samples.add(catalog.MODEL_ENERGY, joules, account.gpu, uuid, model)
        if self._driver.xids.problem is not None:
            problems.append(self._driver.xids.problem)
        if problems:
            raise Partial(samples.families(), "; ".join(problems))
        return samples.families()

    def _read(self, processes: Mapping[str, int], samples: Samples) -> list[str]:
        """Add all GPUs; what went wrong."""
        owners = Owners(processes, self._root)
        problems = list(self._driver.problems)
        answered = 0
        for gpu in self._driver.gpus:
            gpu.failures.clear()
            try:
                read_gpu(gpu, self._driver.version, owners, samples)
                if gpu.uuid not in self._counting:
                    samples.add(catalog.ENERGY, self._integral.joules.get(gpu.uuid), gpu.index, gpu.uuid)
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

    def tick(self, processes: Mapping[str, int]) -> None:
        """Account for the energy of all GPUs, and sample the PCIe rates of the next one."""
        gpus = self._driver.gpus
        owners = Owners(processes, self._root)
        # A loss is met by the next look too, which tells.
        with suppress(DriverLostError):
            for gpu in gpus:
                with suppress(GpuLostError):
                    self._account(gpu, owners)
            if gpus:
                self._turn = (self._turn + 1) % len(gpus)
                self._sample_pcie(gpus[self._turn])

    def _account(self, gpu: Device, owners: Owners) -> None:
        failures = len(gpu.failures)
        joules = gpu.energy()
        if joules is not None:
            self._counting.add(gpu.uuid)
        elif gpu.uuid not in self._counting and len(gpu.failures) == failures:  # it has no counter, not just failed
            self._integral.add(gpu.uuid, gpu.power(), time.monotonic())
            joules = self._integral.joules.get(gpu.uuid)
        if joules is not None:
            self._models.take(gpu, joules, owners)

    def _sample_pcie(self, gpu: Device) -> None:
        self._pcie.pop(gpu.uuid, None)
        with suppress(GpuLostError):
            self._pcie[gpu.uuid] = gpu.pcie(pynvml.NVML_PCIE_UTIL_RX_BYTES), gpu.pcie(pynvml.NVML_PCIE_UTIL_TX_BYTES)
