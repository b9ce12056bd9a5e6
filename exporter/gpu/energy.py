"""Energy of GPUs, and which models it went to."""

import time
from collections import defaultdict
from dataclasses import dataclass, field

from exporter.gpu.nvml import Device
from exporter.gpu.owners import OTHER, Owners

MAX_GAP = 10.0
"""Seconds between two readings beyond which the time between them is unknown."""


class PowerIntegral:
    """Adds up the power of each device between its readings, by the mean of the two. Starts at 0."""

    def __init__(self) -> None:
        self.joules: dict[str, float] = {}
        self._last: dict[str, tuple[float, float]] = {}

    def add(self, uuid: str, watts: float | None, now: float) -> None:
        """Take a reading at the monotonic time `now`; None is a device that does not report it."""
        before = self._last.pop(uuid, None)
        if watts is None:
            return
        self._last[uuid] = watts, now
        self.joules.setdefault(uuid, 0.0)
        if before is not None and now - before[1] <= MAX_GAP:
            self.joules[uuid] += (watts + before[0]) / 2 * (now - before[1])


NOBODY = ""
"""Owner of the energy that no process used, or of which the driver cannot tell who did."""


@dataclass(slots=True)
class CardEnergy:
    """One GPU: its energy and the youngest sample of use at the last reading, and joules by model since the first."""

    gpu: str
    energy: float
    seen: int
    at: float
    joules: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float, {NOBODY: 0.0}))


class ModelEnergy:
    """Divides the energy that a GPU used between two readings among the processes that used it, by their shares.

    The shares are those of NVML's process utilization: the percent of time in which a process's kernels ran. A GPU that
    is busy draws more than an idle one, and NVML does not report how much of it is whose beyond that.
    """

    def __init__(self) -> None:
        self.cards: dict[str, CardEnergy] = {}
        """By UUID."""
        self._integral = PowerIntegral()
        self._counting: set[str] = set()

    def added_up(self, uuid: str) -> float | None:
        """Return the joules of a GPU that has no counter of its own."""
        return None if uuid in self._counting else self._integral.joules.get(uuid)

    def read(self, gpu: Device, owners: Owners) -> set[str]:
        """Read a GPU, best once a second; return the models that have used it since the last reading."""
        failures = len(gpu.failures)
        joules = gpu.energy()
        if joules is not None:
            self._counting.add(gpu.uuid)
        elif gpu.uuid not in self._counting and len(gpu.failures) == failures:  # it has no counter, not just failed
            self._integral.add(gpu.uuid, gpu.power(), time.monotonic())
            joules = self._integral.joules.get(gpu.uuid)
        return set() if joules is None else self._divide(gpu, joules, owners)

    def _divide(self, gpu: Device, energy: float, owners: Owners) -> set[str]:
        now = time.monotonic()
        card = self.cards.get(gpu.uuid)
        if card is None:
            self.cards[gpu.uuid] = CardEnergy(gpu.index, energy, int(time.time() * 1e6), now)
            return set()
        # A counter that went back began again when the driver was loaded: what it counted before is unknown.
        used = max(0.0, energy - card.energy)
        shares = _shares(gpu, card, owners)
        total = sum(shares.values())
        if not total or now - card.at > MAX_GAP:
            card.joules[NOBODY] += used
        else:
            for owner, share in shares.items():
                card.joules[owner or NOBODY] += used * share / total
        card.gpu, card.energy, card.at = gpu.index, energy, now
        return {owner for owner in shares if owner is not None and owner != OTHER}


def _shares(gpu: Device, card: CardEnergy, owners: Owners) -> dict[str | None, float]:
    """Return shares of the GPU's work, in any unit, by owner; none when it did nothing, or the driver reports none."""
    uses = gpu.process_use(card.seen)
    if uses is None:
        return _alone(gpu, owners)
    shares: defaultdict[str | None, float] = defaultdict(float)
    for use in uses:
        if use.percent:
            shares[owners.of(use.pid)] += use.percent
    # A time in the future is garbage that would hide all samples until then.
    times = [use.when for use in uses if use.when <= time.time() * 1e6]
    card.seen = max(times, default=card.seen)
    return shares


def _alone(gpu: Device, owners: Owners) -> dict[str | None, float]:
    """Return the whole share for the owner of a GPU that is busy, if there is but one."""
    utilization, processes = gpu.utilization(), gpu.processes()
    if not utilization or not utilization[0] or not processes:
        return {}
    holders = {owners.of(pid) for pid in processes}
    owner = holders.pop()
    return {} if holders or owner is None else {owner: 1.0}
