"""Energy of GPUs and its share by model, from power over time."""

import time
from collections import defaultdict
from dataclasses import dataclass, field

from exporter.gpu.nvml import Device
from exporter.gpu.owners import Owners

MAX_GAP = 10.0
"""Seconds between two readings beyond which nothing can be said of the time between."""


class PowerIntegral:
    """Adds up the power of each device between its readings, by the mean of the two. Starts at 0."""

    def __init__(self) -> None:
        self.joules: dict[str, float] = {}
        self._last: dict[str, tuple[float, float]] = {}

    def add(self, uuid: str, watts: float | None, now: float) -> None:
        """Take a reading at the monotonic time `now`; None is a device that does not tell."""
        before = self._last.pop(uuid, None)
        if watts is None:
            return
        self._last[uuid] = watts, now
        self.joules.setdefault(uuid, 0.0)
        if before is not None and now - before[1] <= MAX_GAP:
            self.joules[uuid] += (watts + before[0]) / 2 * (now - before[1])


NOBODY = ""
"""Whose the energy is that nobody used, or of which the driver cannot tell who did."""


@dataclass(slots=True)
class Account:
    """One GPU's: its energy and the youngest sample of use at the last look, and joules by model since the first."""

    gpu: str
    energy: float
    seen: int
    at: float
    joules: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float, {NOBODY: 0.0}))


class ModelEnergy:
    """Divides what a GPU used between two looks among those who used it then, by their shares of its work.

    The shares are those of NVML's process utilization: the percent of time in which a process's kernels ran. A GPU that
    is busy draws more than an idle one, and NVML does not tell how much of it is whose beyond that.
    """

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}

    def take(self, gpu: Device, energy: float, owners: Owners) -> None:
        """Look at a GPU whose energy so far is `energy` joules; best once a second."""
        now = time.monotonic()
        account = self.accounts.get(gpu.uuid)
        if account is None:
            self.accounts[gpu.uuid] = Account(gpu.index, energy, int(time.time() * 1e6), now)
            return
        # A counter that went back began anew when the driver was loaded: of what was before, nothing is known.
        used = max(0.0, energy - account.energy)
        weights = _weights(gpu, account, owners)
        if now - account.at > MAX_GAP:
            weights = {}
        total = sum(weights.values())
        for owner, weight in weights.items():
            account.joules[owner] += used * weight / total
        if not total:
            account.joules[NOBODY] += used
        account.gpu, account.energy, account.at = gpu.index, energy, now


def _weights(gpu: Device, account: Account, owners: Owners) -> dict[str, float]:
    """Shares of the GPU's work, in any unit, by model; none when it did nothing, or nobody knows for whom."""
    uses = gpu.process_use(account.seen)
    if uses is None:
        return _alone(gpu, owners)
    weights: defaultdict[str, float] = defaultdict(float)
    for use in uses:
        if use.percent:
            weights[owners.of(use.pid) or NOBODY] += use.percent
    # A time in the future is garbage that would hide all samples until then.
    times = [use.when for use in uses if use.when <= time.time() * 1e6]
    account.seen = max(times, default=account.seen)
    return weights


def _alone(gpu: Device, owners: Owners) -> dict[str, float]:
    """Everything for the one who holds a GPU that is busy, if there is but one."""
    utilization, processes = gpu.utilization(), gpu.processes()
    if not utilization or not utilization[0] or not processes:
        return {}
    holders = {owners.of(pid) for pid in processes}
    owner = holders.pop()
    return {} if holders or owner is None else {owner: 1.0}
