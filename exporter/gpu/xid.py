"""XID errors, counted as they happen. Their numbers: https://docs.nvidia.com/deploy/xid-errors/."""

import ctypes
import threading
from collections.abc import Sequence
from typing import Any

import pynvml

from exporter.gpu.nvml import Device
from exporter.gpu.nvml_errors import UNKNOWABLE

GRAVE = (13, 31, 43, 48, 63, 64, 74, 79, 94, 95, 119, 120)
"""Faults of kernels, memory, links, bus, firmware; listed at 0 from the start: increase() misses what begins at 1."""
WAIT = 500
"""Milliseconds of one wait for an event, and so the time that a stop may take."""


class XidWatch:
    """A thread that waits for events of all GPUs; counts are kept from one start to the next.

    An event is told once, so an error counts once, and stays counted after the GPU has recovered or is lost.
    """

    def __init__(self) -> None:
        self.problem: str | None = None
        """Why events cannot be waited for now."""
        self._counts: dict[tuple[str, str, str], int] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def counts(self) -> dict[tuple[str, str, str], int]:
        """Return errors so far by `gpu`, `uuid` and `xid`."""
        with self._lock:
            return dict(self._counts)

    def start(self, gpus: Sequence[Device]) -> None:
        """Watch the GPUs that report events; the others have no counts."""
        watched: dict[int | None, Device] = {}
        try:
            events = pynvml.nvmlEventSetCreate()
        except pynvml.NVMLError as error:
            if error.value not in UNKNOWABLE:  # WSL has no events
                self.problem = f"XID errors cannot be watched: {error}"
            return
        for gpu in gpus:
            try:
                pynvml.nvmlDeviceRegisterEvents(gpu.handle, pynvml.nvmlEventTypeXidCriticalError, events)
            except pynvml.NVMLError:
                continue
            watched[_address(gpu.handle)] = gpu
            with self._lock:
                for xid in GRAVE:
                    self._counts.setdefault((gpu.index, gpu.uuid, str(xid)), 0)
        self.problem = None
        self._stopping.clear()
        # A daemon: a driver that hangs in the wait must not keep the exporter from ending.
        self._thread = threading.Thread(target=self._run, args=(events, watched), name="xid", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop waiting. To be called before NVML is shut down."""
        if self._thread is not None:
            self._stopping.set()
            self._thread.join()
            self._thread, self.problem = None, None

    def _run(self, events: Any, watched: dict[int | None, Device]) -> None:
        while not self._stopping.is_set():
            try:
                event = pynvml.nvmlEventSetWait_v2(events, WAIT)
            except pynvml.NVMLError as error:
                if error.value == pynvml.NVML_ERROR_TIMEOUT:
                    self.problem = None
                else:
                    # With a lost GPU the wait fails at once and for good, and may still report others in between.
                    self.problem = f"waiting for XID errors: {error}"
                    self._stopping.wait(WAIT / 1000)
                continue
            self.problem = None
            gpu = watched.get(_address(event.device))
            if gpu is not None and event.eventType & pynvml.nvmlEventTypeXidCriticalError:
                key = (gpu.index, gpu.uuid, str(event.eventData))
                with self._lock:
                    self._counts[key] = self._counts.get(key, 0) + 1
        try:
            pynvml.nvmlEventSetFree(events)
        except pynvml.NVMLError as error:
            self.problem = f"XID errors: {error}"


def _address(handle: Any) -> int | None:
    """Handles are pointers, the same for a GPU as long as NVML is open."""
    return ctypes.cast(handle, ctypes.c_void_p).value
