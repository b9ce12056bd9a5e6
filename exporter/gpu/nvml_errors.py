"""What NVML's error codes mean here: nothing to tell, a GPU that is gone, or a driver that is."""

import pynvml

UNKNOWABLE = frozenset(
    {
        pynvml.NVML_ERROR_INVALID_ARGUMENT,  # of arguments that this kind of device does not have
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_NO_PERMISSION,
        pynvml.NVML_ERROR_NOT_FOUND,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,  # of drivers that are older than the function, or younger than its end
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
    """The GPU does not answer any more."""


class DriverLostError(Exception):
    """NVML as a whole does not answer any more."""
