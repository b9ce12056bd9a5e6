"""Do the requests in llama-server get on? Tokens, log lines, CPU and GPU use are progress; health answers are not."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping

import psutil

from exporter.llama.processes import Processes
from exporter.usage.store import UsageStore

BUSY = 0.05
"""Cores that a process uses at least while it works. Answers to our own questions take a hundredth of one."""
LOOK_AFTER = 0.25
"""Share of the limit without a token or a log line after which CPU use is looked at."""


class CpuUse:
    """When each process was last seen to use the CPU, its descendants included."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[float, float]] = {}
        """Monotonic time of a look at each PID, and the CPU seconds of its tree then."""
        self._busy_at: dict[int, float] = {}

    def busy_at(self, pid: int) -> float:
        """Return the monotonic time at which the tree of `pid` last worked, as far as was seen. For a thread."""
        now, used = time.monotonic(), _cpu_seconds(pid)
        before = self._seen.get(pid)
        self._seen[pid] = now, used
        if before is None or used - before[1] >= BUSY * (now - before[0]):
            self._busy_at[pid] = now
        return self._busy_at[pid]

    def keep(self, pids: Collection[int]) -> None:
        """Forget all other processes."""
        self._seen = {pid: seen for pid, seen in self._seen.items() if pid in pids}
        self._busy_at = {pid: when for pid, when in self._busy_at.items() if pid in pids}


class RequestProgress:
    """What the supervisor may know of the requests.

    `heard_at` gives the monotonic time of the last line in llama-server's log, `pids` the processes by model, and
    `gpu_busy_at` when one of some PIDs last used a GPU. `stalled_model` is called when a child of a router stalls (with
    seconds) and when it gets on again (with None): that is no reason to restart the others.
    """

    def __init__(
        self,
        processes: Processes,
        store: UsageStore,
        *,
        heard_at: Callable[[], float],
        pids: Callable[[], Mapping[str, int]],
        gpu_busy_at: Callable[[Collection[int]], float],
        stalled_model: Callable[[str, float | None], None],
    ) -> None:
        self._processes = processes
        self._store = store
        self._heard_at = heard_at
        self._pids = pids
        self._gpu_busy_at = gpu_busy_at
        self._stalled_model = stalled_model
        self._cpu = CpuUse()

    @property
    def running(self) -> int:
        """Requests that slots of all models work on now."""
        return self._store.running

    async def stalled(self, limit: float) -> float:
        """Return the seconds for which a single server's requests have been running without progress; 0 otherwise."""
        router = self._processes.facts is not None and self._processes.facts.is_router
        heard_at = float("-inf") if router else self._heard_at()
        silent = {name: process.stalled(heard_at) for name, process in self._processes.by_model.items()}
        suspects = {name: seconds for name, seconds in silent.items() if seconds >= limit * LOOK_AFTER}
        pids = self._pids() if suspects else {}
        self._cpu.keep(set(pids.values()))
        now = time.monotonic()
        for name, seconds in suspects.items():
            if (pid := pids.get(name)) is not None:
                worked_at = max(await asyncio.to_thread(self._cpu.busy_at, pid), self._gpu_busy_at([pid]))
                silent[name] = min(seconds, max(0.0, now - worked_at))
        if not router:
            return max(silent.values(), default=0.0)
        for name, seconds in silent.items():
            self._report(name, seconds if seconds >= limit else None)
        return 0.0

    def _report(self, name: str, seconds: float | None) -> None:
        model = self._processes.models.entries.get(name)
        if model is not None:
            before, model.stalled = model.stalled, seconds
            if (before is None) is not (seconds is None):
                self._stalled_model(name, seconds)


def _cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process and its descendants; a wrapper's child does the work."""
    total = 0.0
    try:
        process = psutil.Process(pid)
        tree = [process, *process.children(recursive=True)]
    except psutil.Error:
        return total
    for each in tree:
        try:
            times = each.cpu_times()
        except psutil.Error:
            continue  # it has just ended
        total += times.user + times.system
    return total
