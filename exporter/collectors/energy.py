"""Energy of CPU packages through RAPL."""

from pathlib import Path

from exporter.catalog import host as catalog
from exporter.catalog.metric import Family


class CpuEnergy:
    """Adds up the kernel's counters, which wrap every some minutes of full load (max_energy_range_uj).

    Starts at 0: a total that began with the counter would jump when the exporter restarts after a wrap. Wraps between
    two readings that lie further apart than a wrap takes can't be seen.
    """

    def __init__(self, root: Path) -> None:
        self._powercap = root / "sys/class/powercap"
        self._last: dict[str, int] = {}
        self._total: dict[str, int] = {}

    def families(self) -> list[Family]:
        """Read `intel-rapl:N` (Documentation/power/powercap/powercap.rst; AMD's are called so too)."""
        now = {}
        # Not intel-rapl-mmio:N, the same packages through other registers, nor intel-rapl:N:M, their parts.
        for zone in sorted(self._powercap.glob("intel-rapl:*")):
            try:
                kind, _, package = (zone / "name").read_text().strip().partition("-")
                if kind == "package" and zone.name.count(":") == 1:
                    now[package] = self._add(package, zone)
            except (OSError, ValueError):
                continue  # since Linux 5.10 only root may read the energy (CVE-2020-8694)
        return [catalog.CPU_ENERGY.family(((package,), total / 1e6) for package, total in now.items())]

    def _add(self, package: str, zone: Path) -> int:
        energy = int((zone / "energy_uj").read_text())
        used = energy - self._last.get(package, energy)
        if used < 0:
            used += int((zone / "max_energy_range_uj").read_text())
        self._last[package] = energy
        self._total[package] = self._total.get(package, 0) + max(used, 0)
        return self._total[package]
