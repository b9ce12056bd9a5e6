"""NVML, NVIDIA's management library, through NVIDIA's own binding: each call returns a value in base units or None.

Functions, units and what they return where: https://docs.nvidia.com/deploy/nvml-api/ and its nvml.h.
"""

from functools import cached_property
from typing import Any, NamedTuple

import pynvml

from exporter.gpu.nvml_errors import DRIVER_GONE, GPU_GONE, UNKNOWABLE, DriverLostError, GpuLostError

ALL_LINKS = 0xFFFFFFFF
FIELDS = (
    pynvml.NVML_FI_DEV_MEMORY_TEMP,
    pynvml.NVML_FI_DEV_NVLINK_LINK_COUNT,
    (pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, ALL_LINKS),
    (pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, ALL_LINKS),
)
MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
"""Members of the union nvmlValue_t by nvmlValueType_t."""
MAX_SHARE = 100
"""Percent. Process samples above it are garbage that some drivers leave in the buffer."""


class Memory(NamedTuple):
    """Bytes."""

    total: int
    used: int
    free: int


class Fields(NamedTuple):
    """What only nvmlDeviceGetFieldValues reports: degrees Celsius, bytes received and sent over all NVLinks."""

    memory_temperature: float | None
    nvlink_received: float | None
    nvlink_transmitted: float | None


class Use(NamedTuple):
    """One process's use of the GPU's multiprocessors: when (Unix microseconds), and percent of the sample's time."""

    pid: int
    when: int
    percent: int


class Device:
    """A GPU, or a MIG slice of one. `failures` takes what went wrong with single values; `index` is the `gpu` label."""

    def __init__(self, handle: Any, index: str) -> None:
        self.handle = handle
        self.index = index
        self.failures: list[str] = []
        self.uuid: str = pynvml.nvmlDeviceGetUUID(handle)
        self.name: str = pynvml.nvmlDeviceGetName(handle)

    def _ask(self, function: str, *arguments: Any, otherwise: str = "") -> Any:
        """Call `function`, or `otherwise` where the driver or the binding has no such function."""
        try:
            return getattr(pynvml, function)(self.handle, *arguments)
        except pynvml.NVMLError as failure:
            code, text = failure.value, str(failure)
        except AttributeError:
            code, text = pynvml.NVML_ERROR_FUNCTION_NOT_FOUND, ""
        if code == pynvml.NVML_ERROR_FUNCTION_NOT_FOUND and otherwise:
            return self._ask(otherwise, *arguments)
        if code in GPU_GONE:
            raise GpuLostError(text)
        if code in DRIVER_GONE:
            raise DriverLostError(text)
        if code not in UNKNOWABLE:
            self.failures.append(f"{function}: {text}")
        return None

    def utilization(self) -> tuple[float, float] | None:
        """Return the shares of time, 0 to 1, in which kernels ran and in which memory was read or written."""
        rates = self._ask("nvmlDeviceGetUtilizationRates")
        return None if rates is None else (rates.gpu / 100, rates.memory / 100)

    def memory(self) -> Memory | None:
        """Version 2 reports what the driver reserves separately; older drivers count it as used."""
        found = self._ask("nvmlDeviceGetMemoryInfo", pynvml.nvmlMemory_v2)
        if found is None:
            found = self._ask("nvmlDeviceGetMemoryInfo")
        return None if found is None else Memory(found.total, found.used, found.free)

    def temperature(self) -> float | None:
        """Return degrees Celsius of the GPU itself."""
        sensor = pynvml.NVML_TEMPERATURE_GPU
        return _scaled(self._ask("nvmlDeviceGetTemperature", sensor, otherwise="nvmlDeviceGetTemperatureV"))

    def power(self) -> float | None:
        """Return watts."""
        return _scaled(self._ask("nvmlDeviceGetPowerUsage"), over=1000)

    def power_limit(self) -> float | None:
        """Return watts: the lowest of all limits in force."""
        return _scaled(self._ask("nvmlDeviceGetEnforcedPowerLimit"), over=1000)

    def energy(self) -> float | None:
        """Return joules since the driver was loaded. From Volta on."""
        return _scaled(self._ask("nvmlDeviceGetTotalEnergyConsumption"), over=1000)

    def clock(self, kind: int) -> float | None:
        """Return hertz."""
        return _scaled(self._ask("nvmlDeviceGetClockInfo", kind), times=1e6)

    def fan_speed(self) -> float | None:
        """Return the share of the maximum."""
        return _scaled(self._ask("nvmlDeviceGetFanSpeed"), over=100)

    def throttle_reasons(self) -> int | None:
        """Return the bits of those that limit the clocks now."""
        bits: int | None = self._ask(
            "nvmlDeviceGetCurrentClocksEventReasons", otherwise="nvmlDeviceGetCurrentClocksThrottleReasons"
        )
        return bits

    @cached_property
    def known_throttle_reasons(self) -> int | None:
        """Return the bits of those that the GPU can report."""
        bits: int | None = self._ask(
            "nvmlDeviceGetSupportedClocksEventReasons", otherwise="nvmlDeviceGetSupportedClocksThrottleReasons"
        )
        return bits

    def ecc_errors(self, kind: int) -> int | None:
        """Return the count since the driver was loaded."""
        count: int | None = self._ask("nvmlDeviceGetTotalEccErrors", kind, pynvml.NVML_VOLATILE_ECC)
        return count

    def fields(self) -> Fields:
        """Return several values from one call."""
        found = self._ask("nvmlDeviceGetFieldValues", FIELDS)
        values = [_value(field) for field in found] if found is not None else [None] * len(FIELDS)
        temperature, links, received, transmitted = values
        if links == 0:
            received = transmitted = None
        # KiB; a sensor that is not there reads 0.
        return Fields(temperature or None, _scaled(received, 1024), _scaled(transmitted, 1024))

    def processes(self) -> dict[int, int | None] | None:
        """Return the bytes that each process holds, by PID; None for a process where the driver reports none."""
        found: dict[int, int | None] = {}
        answered = False
        for kind in ("Compute", "Graphics"):
            function = f"nvmlDeviceGet{kind}RunningProcesses"
            listed = self._ask(f"{function}_v3", otherwise=f"{function}_v2")
            answered |= listed is not None
            # A process that computes and draws is listed twice with the same memory.
            found.update({process.pid: process.usedGpuMemory for process in listed or ()})
        return found if answered else None

    def process_use(self, since: int) -> list[Use] | None:
        """Return samples younger than `since`; an empty list when none used the GPU, None without samples at all."""
        try:
            samples = pynvml.nvmlDeviceGetProcessUtilization(self.handle, since)
        except pynvml.NVMLError as error:
            # pynvml raises NVML_SUCCESS for a driver that reports, without an error, that it has no samples at all.
            return [] if error.value in {pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_SUCCESS} else None
        return [
            Use(sample.pid, sample.timeStamp, sample.smUtil)
            for sample in samples
            if sample.timeStamp > since and sample.smUtil <= MAX_SHARE
        ]

    def pcie(self, counter: int) -> float | None:
        """Return bytes a second, counted over 20 ms, for which it blocks."""
        # The byte counters among the fields would be better, but wrap, and nvml.h does not say at which width.
        return _scaled(self._ask("nvmlDeviceGetPcieThroughput", counter), times=1000)

    def slices(self) -> list["Device"]:
        """Return MIG slices; none where the card is whole."""
        mode = self._ask("nvmlDeviceGetMigMode")
        if not mode or not mode[0]:
            return []
        found = []
        for number in range(self._ask("nvmlDeviceGetMaxMigDeviceCount") or 0):
            handle = self._ask("nvmlDeviceGetMigDeviceHandleByIndex", number)
            try:
                if handle is not None:  # a number may be free
                    found.append(Device(handle, f"{self.index}:{number}"))
            except pynvml.NVMLError as error:
                self.failures.append(f"MIG slice {number}: {error}")
        return found


def _scaled(value: Any, times: float = 1, over: float = 1) -> float | None:
    return None if value is None else value * times / over


def _value(field: Any) -> Any:
    if field.nvmlReturn != pynvml.NVML_SUCCESS or field.valueType >= len(MEMBERS):
        return None
    return getattr(field.value, MEMBERS[field.valueType])
