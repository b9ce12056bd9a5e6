"""Why it ended, as far as the end of its log says: an ordered table, the first match counts.

Phrases are llama.cpp's and the drivers' own (fixtures and the sources of ggml-cuda, ggml-hip, ggml-vulkan).
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from exporter.supervisor.process import Exit


class Cause(NamedTuple):
    """A likely cause: its name, what the log says then, and advice. The sample is the test."""

    name: str
    regex: re.Pattern[str]
    advice: str
    sample: str


CAUSES = (
    Cause(
        "port_in_use",
        re.compile(r"couldn't bind (?:HTTP )?server socket"),
        "the port was taken between the check and the start: choose another server.port",
        "couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 8080",
    ),
    Cause(
        "out_of_gpu_memory",
        re.compile(
            r"(?i)cuda error: out of memory|cudaMalloc failed: out of memory|hipMalloc failed|hipErrorOutOfMemory"
            r"|ErrorOutOfDeviceMemory|(?:failed|unable) to allocate (?:CUDA|ROCm|Vulkan)"
        ),
        "the GPU has not enough memory: a smaller context (-c), fewer layers on it (-ngl) or a smaller model",
        "alloc_buffer: allocating 512.00 MiB on device 0: cudaMalloc failed: out of memory",
    ),
    Cause(
        "invalid_argument",
        re.compile(r"error: invalid argument|error while handling argument|unknown argument"),
        "llama-server does not know one of server.args",
        "error: invalid argument: --nope",
    ),
    Cause(
        "no_models_folder",
        re.compile(r"failed to initialize router models"),
        "the folder of models is not there: give --models-dir (LLAMA_ARG_MODELS_DIR) one that exists",
        "failed to initialize router models: error: '/nope' does not exist or is not a directory",
    ),
    Cause(
        "model_not_loaded",
        re.compile(r"error loading model|failed to load model|exiting due to model loading error"),
        "the model can't be loaded: look at the lines above for why",
        "exiting due to model loading error",
    ),
    Cause(
        "out_of_memory",
        re.compile(r"std::bad_alloc|Cannot allocate memory|failed to allocate buffer|out of memory"),
        "the machine has not enough memory: a smaller context (-c) or a smaller model",
        "terminate called after throwing an instance of 'std::bad_alloc'",
    ),
)


def likely_cause(exit_: Exit, lines: Sequence[str], oom_kills: int) -> tuple[str, str] | None:
    """Return name and advice for the likely cause of an exit, None when nothing shows it.

    `oom_kills` is by how much the kernel's count of OOM kills grew while the process ran.
    """
    if exit_.signal == "SIGKILL" and oom_kills > 0:
        return "oom_killed", "the kernel killed it for memory: a smaller context (-c) or model, or a higher limit"
    if exit_.signal == "SIGILL":
        return "illegal_instruction", "this build of llama-server needs instructions that this CPU lacks: get another"
    for cause in CAUSES:
        if any(cause.regex.search(line) for line in lines):
            return cause.name, cause.advice
    return None


COUNTERS = (Path("/proc/vmstat"), Path("/sys/fs/cgroup/memory.events"))
OOM_KILL = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


def oom_kills(counters: tuple[Path, ...] = COUNTERS) -> int:
    """The highest of the counters that can be read (proc(5), cgroup-v2 `memory.events`); 0 where there is none."""
    highest = 0
    for file in counters:
        try:
            found = OOM_KILL.search(file.read_text("ascii", "replace"))
        except OSError:
            continue
        highest = max(highest, int(found[1]) if found else 0)
    return highest
