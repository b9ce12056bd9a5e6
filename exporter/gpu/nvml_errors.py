"""What NVML's error codes mean here: no such value, a GPU that is gone, or a driver that is."""

import pynvml

UNKNOWABLE = frozenset(
    {
        pynvml.NVML_ERROR_INVALID_ARGUMENT,  # arguments that this kind of device does not have
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_NO_PERMISSION,
        pynvml.NVML_ERROR_NOT_FOUND,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,  # drivers older than the function, or newer than its removal
        pynvml.NVML_ERROR_NO_DATA,
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
        pynvml.NVML_ERROR_DEPRECATED,
        pynvml.NVML_ERROR_NOT_READY,
    }
)
"""Answers that mean "not here": the value is absent, and nothing is wrong."""
GPU_GONE = frozenset({pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED, pynvml.NVML_ERROR_GPU_NOT_FOUND})
DRIVER_GONE = frozenset(
    {
        pynvml.NVML_ERROR_UNINITIALIZED,
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
        pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
    }
)


class GpuLostError(Exception):
    """The GPU no longer answers."""


class DriverLostError(Exception):
    """NVML as a whole no longer answers."""
