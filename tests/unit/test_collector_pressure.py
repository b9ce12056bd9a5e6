"""Pressure stall information against files, and against this machine."""

from pathlib import Path

import pytest

from exporter.metrics.collectors.host_linux import pressure

LINE = "avg10=0.44 avg60=1.66 avg300=3.17 total="
FILES = {
    "cpu": f"some {LINE}504813609\n",
    "memory": f"some {LINE}2000000\nfull {LINE}1000000\n",
    "io": f"some {LINE}3167797\nfull {LINE}0\n",
}
EXPECTED = {
    ("cpu", "some"): 504.813609,
    ("memory", "some"): 2,
    ("memory", "full"): 1,
    ("io", "some"): 3.167797,
    ("io", "full"): 0,
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "proc/pressure").mkdir(parents=True)
    for name, text in FILES.items():
        (tmp_path / "proc/pressure" / name).write_text(text)
    return tmp_path


def read(root: Path) -> dict[tuple[str, ...], float]:
    (family,) = pressure(root)
    return {tuple(value for _, value in sample.labels): float(sample.value) for sample in family.samples}


def test_microseconds_become_seconds(root: Path) -> None:
    assert read(root) == EXPECTED


@pytest.mark.parametrize("text", [None, "", "garbled\n", "some\n", "some avg10=0 total=many\n"])
@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_garbled_resource_leaves_the_others(root: Path, name: str, text: str | None) -> None:
    if text is None:
        (root / "proc/pressure" / name).unlink()
    else:
        (root / "proc/pressure" / name).write_text(text)
    assert read(root) == {labels: value for labels, value in EXPECTED.items() if labels[0] != name}


def test_a_kernel_without_psi_has_none(tmp_path: Path) -> None:
    assert read(tmp_path) == {}


@pytest.mark.skipif(not Path("/proc/pressure/cpu").exists(), reason="kernel without PSI")
def test_this_machine_counts_up() -> None:
    before, after = read(Path("/")), read(Path("/"))
    assert set(before) >= {("cpu", "some"), ("memory", "full"), ("io", "some")}
    assert all(0 <= before[labels] <= after[labels] for labels in before)
