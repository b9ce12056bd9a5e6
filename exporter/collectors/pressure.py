"""Pressure stall information of Linux."""

from pathlib import Path

from exporter.catalog import host as catalog
from exporter.catalog.metric import Family


def pressure(root: Path) -> list[Family]:
    """Read `/proc/pressure/{cpu,memory,io}`, microseconds (the kernel's Documentation/accounting/psi.rst)."""
    stalled: dict[tuple[str, ...], float] = {}
    for resource in ("cpu", "memory", "io"):
        try:
            # some avg10=0.44 avg60=1.66 avg300=3.17 total=504813609
            for line in (root / "proc/pressure" / resource).read_text().splitlines():
                kind, *_, total = line.split()
                stalled[resource, kind] = int(total.removeprefix("total=")) / 1e6
        except (OSError, ValueError):
            continue  # kernels without PSI lack the files, and those booted with psi=0 refuse to read them
    return [catalog.PRESSURE.family(stalled)]
