"""The container collector against cgroup trees of v2, v1 and both, and against this machine."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from exporter.metrics.collectors.collector import NoData
from exporter.metrics.collectors.container import ContainerCollector
from tests.support import soon

NO_LIMIT_V1 = "9223372036854771712\n"
V2 = "30 20 0:26 {root} /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw,nsdelegate\n"
V1 = (
    "31 20 0:30 {root} /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    "32 20 0:31 {root} /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"
)
FILES_V2 = {
    "memory.max": "2000000\n",
    "memory.current": "1500000\n",
    "memory.stat": "anon 100\nfile 900000\ninactive_file 400000\nactive_file 500000\n",
    "cpu.max": "150000 100000\n",
    "cpu.stat": "usage_usec 5\nnr_throttled 3\nthrottled_usec 2500000\n",
}
EXPECTED = {
    "memory_limit_bytes": 2000000,
    "memory_used_bytes": 1100000,
    "cpu_limit": 1.5,
    "cpu_throttled_seconds_total": 2.5,
}
FILES_V1 = {
    "memory/memory.limit_in_bytes": "2000000\n",
    "memory/memory.usage_in_bytes": "1500000\n",
    "memory/memory.stat": f"inactive_file 1\nhierarchical_memory_limit {NO_LIMIT_V1}total_inactive_file 400000\n",
    "cpu,cpuacct/cpu.cfs_quota_us": "150000\n",
    "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    "cpu,cpuacct/cpu.stat": "nr_periods 5\nnr_throttled 3\nthrottled_time 2500000000\n",
}


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def machine(root: Path, mounts: str, cgroups: str) -> Path:
    write(root, {"proc/self/mountinfo": "1 0 8:1 / / rw - ext4 /dev/a rw\n" + mounts, "proc/self/cgroup": cgroups})
    (root / "sys/fs/cgroup").mkdir(parents=True)
    return root / "sys/fs/cgroup"


async def read(root: Path) -> dict[str, float]:
    families = await ContainerCollector(root=root).collect(soon())
    assert [family.name for family in families] == [metric.name for metric in ContainerCollector.metrics]
    return {
        family.name.removeprefix("llama_container_"): float(sample.value)
        for family in families
        for sample in family.samples
    }


async def test_v2_in_a_namespace_of_its_own(tmp_path: Path) -> None:
    write(machine(tmp_path, V2.format(root="/"), "0::/\n"), FILES_V2)
    assert await read(tmp_path) == EXPECTED


async def test_v2_on_the_host_counts_the_lowest_limit_above(tmp_path: Path) -> None:
    top = machine(tmp_path, V2.format(root="/"), "0::/machine.slice/a:b.service\n")
    write(top, {"cpu.stat": "usage_usec 5\n"})
    write(top / "machine.slice/a:b.service", FILES_V2)
    above = {"memory.max": "1800000\n", "cpu.max": "50000 100000\n", "cpu.stat": "throttled_usec 1000000\n"}
    write(top / "machine.slice", above)
    assert await read(tmp_path) == EXPECTED | {
        "memory_limit_bytes": 1800000,
        "cpu_limit": 0.5,
        "cpu_throttled_seconds_total": 3.5,
    }
    write(top / "machine.slice", {"memory.max": "max\n", "cpu.max": "max 100000\n", "cpu.stat": "throttled_usec 0\n"})
    assert await read(tmp_path) == EXPECTED


async def test_v2_without_limits(tmp_path: Path) -> None:
    files = FILES_V2 | {"memory.max": "max\n", "cpu.max": "max 100000\n"}
    write(machine(tmp_path, V2.format(root="/"), "0::/\n"), files)
    assert set(await read(tmp_path)) == {"memory_used_bytes", "cpu_throttled_seconds_total"}


async def test_v2_root_of_a_host_has_no_container_values(tmp_path: Path) -> None:
    write(machine(tmp_path, V2.format(root="/"), "0::/\n"), {"cpu.stat": "usage_usec 5\n"})
    assert await read(tmp_path) == {}


LOST = {
    "memory.max": {"memory_limit_bytes"},
    "memory.current": {"memory_used_bytes"},
    "memory.stat": {"memory_used_bytes"},
    "cpu.max": {"cpu_limit"},
    "cpu.stat": {"cpu_throttled_seconds_total"},
}


@pytest.mark.parametrize("text", [None, "", "garbled\n", "1 0\n", "max max max\n"])
@pytest.mark.parametrize("name", LOST)
async def test_one_missing_or_garbled_file_loses_its_own_metric_only(
    tmp_path: Path, name: str, text: str | None
) -> None:
    top = machine(tmp_path, V2.format(root="/"), "0::/\n")
    write(top, FILES_V2)
    if text is None:
        (top / name).unlink()
    else:
        (top / name).write_text(text)
    assert await read(tmp_path) == {metric: value for metric, value in EXPECTED.items() if metric not in LOST[name]}


async def test_v1_in_a_namespace_of_its_own(tmp_path: Path) -> None:
    write(machine(tmp_path, V1.format(root="/"), "9:memory:/\n8:cpu,cpuacct:/\n"), FILES_V1)
    assert await read(tmp_path) == EXPECTED


async def test_v1_without_a_namespace_is_told_a_path_that_is_the_mounted_part(tmp_path: Path) -> None:
    cgroups = "9:memory:/docker/1f\n8:cpu,cpuacct:/docker/1f\n"
    write(machine(tmp_path, V1.format(root="/docker/1f"), cgroups), FILES_V1)
    assert await read(tmp_path) == EXPECTED


async def test_v1_on_the_host_counts_the_lowest_limit_above(tmp_path: Path) -> None:
    top = machine(tmp_path, V1.format(root="/"), "9:memory:/a/b\n8:cpu,cpuacct:/a\n")
    write(top, {name.replace("/", "/a/b/" if "memory" in name else "/a/", 1): text for name, text in FILES_V1.items()})
    write(top / "memory/a", {"memory.limit_in_bytes": "1000000\n"})
    write(top / "memory", {"memory.limit_in_bytes": NO_LIMIT_V1})
    write(top / "cpu,cpuacct", {"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"})
    assert await read(tmp_path) == EXPECTED | {"memory_limit_bytes": 1000000}


async def test_v1_limits_above_that_are_not_visible_count_for_memory(tmp_path: Path) -> None:
    files = FILES_V1 | {"memory/memory.stat": "hierarchical_memory_limit 700000\ntotal_inactive_file 400000\n"}
    write(machine(tmp_path, V1.format(root="/"), "9:memory:/\n8:cpu,cpuacct:/\n"), files)
    assert await read(tmp_path) == EXPECTED | {"memory_limit_bytes": 700000}


async def test_v1_without_limits(tmp_path: Path) -> None:
    files = FILES_V1 | {"memory/memory.limit_in_bytes": NO_LIMIT_V1, "cpu,cpuacct/cpu.cfs_quota_us": "-1\n"}
    write(machine(tmp_path, V1.format(root="/"), "9:memory:/\n8:cpu,cpuacct:/\n"), files)
    assert set(await read(tmp_path)) == {"memory_used_bytes", "cpu_throttled_seconds_total"}


async def test_both_versions_each_with_some_controllers(tmp_path: Path) -> None:
    v1 = V1.splitlines(keepends=True)[0].format(root="/")
    v2 = V2.format(root="/").replace("/sys/fs/cgroup ", "/sys/fs/cgroup/unified ")
    top = machine(tmp_path, v1 + v2, "9:memory:/\n0::/x\n")
    write(top, {name: text for name, text in FILES_V1.items() if name.startswith("memory")})
    write(top / "unified/x", {"cpu.max": "20000 10000\n", "cpu.stat": "throttled_usec 1000000\n", "memory.max": "5\n"})
    assert await read(tmp_path) == EXPECTED | {"cpu_limit": 2, "cpu_throttled_seconds_total": 1}


@pytest.mark.parametrize(
    ("mount_root", "cgroup"), [("/../..", "/"), ("/", "/../other"), ("/", "/not/here"), ("/docker/1f", "/docker/2e")]
)
async def test_a_cgroup_that_is_not_mounted_is_taken_at_the_top(tmp_path: Path, mount_root: str, cgroup: str) -> None:
    write(machine(tmp_path, V2.format(root=mount_root), f"0::{cgroup}\n"), FILES_V2)
    assert await read(tmp_path) == EXPECTED


async def test_no_cgroup_filesystem_is_no_data(tmp_path: Path) -> None:
    with pytest.raises(NoData):
        await ContainerCollector(root=tmp_path).collect(soon())
    machine(tmp_path, "", "0::/\n")
    with pytest.raises(NoData):
        await ContainerCollector(root=tmp_path).collect(soon())


@pytest.mark.skipif(sys.platform != "linux", reason="reads cgroups")
async def test_this_machine_is_plausible() -> None:
    try:
        found = await read(Path("/"))
    except NoData:
        pytest.skip("no cgroup filesystem here")
    assert all(value >= 0 for value in found.values())
    assert found.get("memory_used_bytes", 0) < 2**50
