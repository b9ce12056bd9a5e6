"""NVIDIA's driver while the exporter runs: opened when first needed, and reopened after something was lost."""

import time

import pynvml

from exporter.gpu.nvml import Device
from exporter.gpu.nvml_errors import DRIVER_GONE, DriverLostError
from exporter.gpu.xid import XidWatch

NOT_INSTALLED = frozenset({pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED})
ADVICE = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "libnvidia-ml.so.1 is not here: install the driver, or give the container the "
    "GPUs (--gpus all)",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "the kernel module is not loaded: modprobe nvidia",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "the driver was updated under the running kernel module: reboot",
}


class NoGpuError(Exception):
    """There is no NVIDIA GPU here, and there was none before."""


class Driver:
    """Keeps NVML open and remembers the GPUs it has seen.

    A lost GPU comes back only when NVML is reopened, at most every `reopen_after` seconds: on some machines that takes
    long.
    """

    def __init__(self, reopen_after: float) -> None:
        self.xids = XidWatch()
        self.gpus: list[Device] = []
        self.version = ""
        self.problems: list[str] = []
        """What was lost or could not be opened, for as long as that lasts."""
        self._reopen_after = reopen_after
        self._opened_at = float("-inf")
        self._open = False
        self._lost_one = False
        self._error: Exception | None = None
        self._known: dict[str, str] = {}

    def require(self) -> None:
        """Open NVML if it is not. Raise `NoGpuError` or `DriverLostError`."""
        stale = time.monotonic() - self._opened_at >= self._reopen_after
        if self._open and not (stale and (self.problems or self._lost_one)):
            return
        if stale:
            self.close()
            self._opened_at = time.monotonic()
            self._error = self._try_open()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Close NVML: while it is open, the driver cannot be unloaded, nor a GPU reset."""
        if not self._open:
            return
        self.xids.stop()
        self._open, self.gpus = False, []
        try:
            pynvml.nvmlShutdown()
        except pynvml.NVMLError as error:
            if error.value not in DRIVER_GONE:
                raise

    def lose_one(self) -> None:
        """Remember that a GPU does not answer: it may after the next opening."""
        self._lost_one = True

    def lose(self, error: DriverLostError) -> DriverLostError:
        """Close after the driver went away; return the error to report until it is back."""
        self.close()
        self._error = DriverLostError(f"the NVIDIA driver went away: {error}")
        return self._error

    def _try_open(self) -> Exception | None:
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            text = f"NVML cannot be opened: {error}; {ADVICE.get(error.value, 'run nvidia-smi for more')}"
            if error.value in NOT_INSTALLED and not self._known:
                return NoGpuError(text)
            return DriverLostError(text)
        self._open = True
        try:
            self._enumerate()
        except pynvml.NVMLError as error:
            self.close()
            return DriverLostError(f"NVML cannot list GPUs: {error}")
        if not self.gpus and not self.problems:
            self.close()
            return NoGpuError("the NVIDIA driver is here and shows no GPU")
        self.xids.start(self.gpus)
        return None

    def _enumerate(self) -> None:
        self.version = pynvml.nvmlSystemGetDriverVersion()
        self.problems, self._lost_one = [], False
        for number in range(pynvml.nvmlDeviceGetCount()):
            try:
                self.gpus.append(Device(pynvml.nvmlDeviceGetHandleByIndex(number), str(number)))
            except pynvml.NVMLError as error:
                self.problems.append(f"GPU {number}: {error}")
        present = {gpu.uuid: gpu.index for gpu in self.gpus}
        self.problems += [
            f"GPU {index} ({uuid}) is gone; if it was taken out on purpose, restart the exporter"
            for uuid, index in self._known.items()
            if uuid not in present
        ]
        self._known.update(present)
