"""The host collector against trees of files, and against this machine."""

import asyncio
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from exporter.metrics.collectors import host
from exporter.metrics.collectors.collector import Partial
from exporter.metrics.collectors.host import HostCollector
from exporter.metrics.families import Family
from tests.support import soon

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

FILES = {
    "proc/stat": "cpu  100 200 300 400 50 6 7 8 90 20\n"
    "cpu0 50 100 150 200 25 3 4 4 45 10\ncpu1 50 100 150 200 25 3 3 4 45 10\n"
    "intr 12345 0 9 0\nctxt 99\nbtime 1700000000\nprocesses 5\n",
    "proc/loadavg": "0.26 1.26 6.35 1/85 8875\n",
    "proc/meminfo": "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    600 kB\n"
    "Buffers:          10 kB\nCached:          400 kB\nSwapCached:        3 kB\n"
    "SwapTotal:       200 kB\nSwapFree:         50 kB\nHugePages_Total:   0\n",
    "proc/diskstats": "   7       0 loop0 5 0 99 0 0 0 0 0 0 0 0\n"
    "   8       0 sda 10 1 20 3 4 5 60 7 0 8 9 10 11 12 13 14 15\n   8       1 sda1 10 1 20 3 4 5 60 7 0 8 9\n"
    " 253       0 dm-0 10 1 20 3 4 5 60 7 0 8 9\n 104       0 cciss/c0d0 1 0 2 0 1 0 4 0 0 0 0\n",
    "proc/net/dev": "Inter-|   Receive                |  Transmit\n face |bytes packets |bytes packets\n"
    "    lo: 10 1 0 0 0 0 0 0 10 1 0 0 0 0 0 0\neth0:239190700 5019 0 0 0 0 0 0 285446 3045 0 0 0 0 0 0\n"
    "veth1a: 30 1 0 0 0 0 0 0 40 1 0 0 0 0 0 0\ndocker0: 50 1 0 0 0 0 0 0 60 1 0 0 0 0 0 0\n",
    "proc/vmstat": "nr_free_pages 5\noom_kill 3\noom_kill_x 4\n",
    "proc/pressure/cpu": "some avg10=0.44 avg60=1.66 avg300=3.17 total=1500000\n",
    "sys/class/powercap/intel-rapl:0/name": "package-0\n",
    "sys/class/powercap/intel-rapl:0/energy_uj": "5000000\n",
    "sys/class/powercap/intel-rapl:0/max_energy_range_uj": "10000000\n",
}
DEVICES = ("sys/block/sda/device", "sys/block/cciss!c0d0/device", "sys/block/dm-0", "sys/class/net/eth0/device")

EXPECTED: dict[str, dict[tuple[str, ...], float]] = {
    "cpu_seconds_total": {
        ("user",): 1,
        ("nice",): 2,
        ("system",): 3,
        ("idle",): 4,
        ("iowait",): 0.5,
        ("irq",): 0.06,
        ("softirq",): 0.07,
        ("steal",): 0.08,
    },
    "cpus": {(): 2},
    "boot_time_seconds": {(): 1700000000},
    "load": {("1m",): 0.26, ("5m",): 1.26, ("15m",): 6.35},
    "memory_total_bytes": {(): 1024000},
    "memory_available_bytes": {(): 614400},
    "memory_used_bytes": {(): 409600},
    "memory_cached_bytes": {(): 409600},
    "swap_total_bytes": {(): 204800},
    "swap_used_bytes": {(): 153600},
    "disk_read_bytes_total": {("sda",): 10240, ("cciss/c0d0",): 1024},
    "disk_written_bytes_total": {("sda",): 30720, ("cciss/c0d0",): 2048},
    "network_received_bytes_total": {("eth0",): 239190700},
    "network_transmitted_bytes_total": {("eth0",): 285446},
    "pressure_seconds_total": {("cpu", "some"): 1.5},
    "oom_kills_total": {(): 3},
    "cpu_energy_joules_total": {("0",): 0},
}

LOST = {
    "proc/stat": {"cpu_seconds_total", "cpus", "boot_time_seconds"},
    "proc/loadavg": {"load"},
    "proc/meminfo": {name for name in EXPECTED if name.startswith(("memory", "swap"))},
    "proc/diskstats": {"disk_read_bytes_total", "disk_written_bytes_total"},
    "proc/net/dev": {"network_received_bytes_total", "network_transmitted_bytes_total"},
    "proc/vmstat": {"oom_kills_total"},
    "proc/pressure/cpu": {"pressure_seconds_total"},
    "sys/class/powercap/intel-rapl:0/name": {"cpu_energy_joules_total"},
    "sys/class/powercap/intel-rapl:0/energy_uj": {"cpu_energy_joules_total"},
}


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, FILES)
    for device in DEVICES:
        (tmp_path / device).mkdir(parents=True)
    return tmp_path


async def read(collector: HostCollector) -> dict[str, dict[tuple[str, ...], float]]:
    families = await collector.collect(soon())
    declared = {metric.name: metric for metric in collector.metrics}
    assert all(declared[family.name].help == family.help for family in families)
    assert len({family.name for family in families}) == len(families)
    return {
        family.name.removeprefix("llama_host_"): {
            tuple(value for _, value in sample.labels): float(sample.value) for sample in family.samples
        }
        for family in families
        if family.samples
    }


@linux
async def test_every_value_of_a_known_machine(root: Path) -> None:
    assert os.sysconf("SC_CLK_TCK") == 100
    assert await read(HostCollector(root=root)) == EXPECTED


@linux
@pytest.mark.parametrize("text", [None, "", "garbled\n", "a b c d e f g h i j k l m\n" * 4, "cpu x\n12 kB: 5\n"])
@pytest.mark.parametrize("name", LOST)
async def test_one_missing_or_garbled_file_loses_its_own_metrics_only(root: Path, name: str, text: str | None) -> None:
    if text is None:
        (root / name).unlink()
    else:
        (root / name).write_text(text)
    found = await read(HostCollector(root=root))
    kept = {metric: values for metric, values in EXPECTED.items() if metric not in LOST[name]}
    assert {metric: values for metric, values in found.items() if metric not in LOST[name]} == kept
    assert not LOST[name] & set(found)


@linux
async def test_bytes_that_are_no_text_lose_their_own_metrics_only(root: Path) -> None:
    (root / "proc/loadavg").write_bytes(b"\xff\xfe\x00")
    assert set(EXPECTED) - set(await read(HostCollector(root=root))) == {"load"}


@linux
async def test_nothing_readable_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nothing of the host"):
        await HostCollector(root=tmp_path).collect(soon())


@linux
async def test_a_kernel_without_the_estimate_has_no_used_memory_either(root: Path) -> None:
    text = FILES["proc/meminfo"].replace("MemAvailable", "Something")
    (root / "proc/meminfo").write_text(text)
    assert set(EXPECTED) - set(await read(HostCollector(root=root))) == {"memory_available_bytes", "memory_used_bytes"}


@linux
async def test_a_container_has_virtual_network_devices_only(root: Path) -> None:
    (root / "sys/class/net/eth0/device").rmdir()
    found = await read(HostCollector(root=root))
    assert found["network_received_bytes_total"] == {("eth0",): 239190700, ("docker0",): 50}


@linux
async def test_nvme_disks_with_several_paths_are_counted_once(root: Path) -> None:
    names = {"nvme0n1": (0, 0), "nvme0c0n1": (1, 2), "nvme0c1n1": (3, 4), "nvme1n1": (9, 9), "nvme1c0n1": (9, 9)}
    lines = [f"259 0 {name} 1 0 {read} 0 1 0 {written} 0 0 0 0" for name, (read, written) in names.items()]
    (root / "proc/diskstats").write_text("\n".join(lines))
    for name in names:
        (root / "sys/block" / name / "device").mkdir(parents=True)
    found = await read(HostCollector(root=root))
    assert found["disk_read_bytes_total"] == {("nvme0n1",): 4 * 512, ("nvme1n1",): 9 * 512}
    assert found["disk_written_bytes_total"] == {("nvme0n1",): 6 * 512, ("nvme1n1",): 9 * 512}


@linux
async def test_energy_adds_up_across_wraps_and_counts_packages_only(root: Path) -> None:
    for zone, kind in (
        ("intel-rapl:0:0", "core"),
        ("intel-rapl:1", "psys"),
        ("intel-rapl-mmio:0", "package-0"),
        ("intel-rapl:2", "package-1-die-0"),
    ):
        write(root / "sys/class/powercap" / zone, {"name": kind, "energy_uj": "7", "max_energy_range_uj": "10000000"})
    collector = HostCollector(root=root)
    totals = []
    for energy in (5000000, 9000000, 1000000, 1000000, 999999):
        (root / "sys/class/powercap/intel-rapl:0/energy_uj").write_text(f"{energy}\n")
        found = (await read(collector))["cpu_energy_joules_total"]
        assert found.pop(("1-die-0",)) == 0
        totals.append(found)
    assert totals == [{("0",): 0}, {("0",): 4}, {("0",): 6}, {("0",): 6}, {("0",): 15.999999}]


@linux
async def test_energy_that_only_root_may_read_is_absent_and_comes_back(root: Path) -> None:
    energy = root / "sys/class/powercap/intel-rapl:0/energy_uj"
    energy.unlink()
    energy.mkdir()  # unreadable for root too
    collector = HostCollector(root=root)
    assert set(EXPECTED) - set(await read(collector)) == {"cpu_energy_joules_total"}
    energy.rmdir()
    energy.write_text("1")
    assert await read(collector) == EXPECTED


@linux
async def test_filesystems_of_models_are_named_by_the_mountpoint_and_listed_once(root: Path) -> None:
    models = root / "model files"
    (models / "other").mkdir(parents=True)
    (models / "here.gguf").touch()
    (root / "link.gguf").symlink_to(models / "here.gguf")
    escaped = str(models).replace(" ", "\\040")
    write(
        root,
        {
            "proc/self/mountinfo": "1 0 8:1 / / rw - ext4 /dev/a rw\n"
            f"2 1 8:9 / {escaped} rw - ext4 /dev/lower rw\n"
            f"3 1 8:2 /sub {escaped} rw shared:5 master:2 - xfs /dev/b rw\n"
            f"4 1 8:2 / {escaped}/other rw - xfs /dev/b rw\n"
        },
    )
    paths = [models / "here.gguf", models / "other/x.gguf", root / "link.gguf", models / "not/yet/there.gguf"]
    room = os.statvfs(models)
    found = await read(HostCollector(model_paths=lambda: paths, root=root))
    assert found["filesystem_size_bytes"] == {(str(models),): room.f_blocks * room.f_frsize}
    found = await read(HostCollector(model_paths=lambda: [root / "x", *paths], root=root))
    assert list(found["filesystem_available_bytes"]) == [("/",), (str(models),)]


@linux
@pytest.mark.parametrize("text", [None, "", "garbled\n", "1 0 8:1 / /elsewhere rw - ext4 /dev/a rw\n"])
async def test_filesystems_are_absent_without_a_mount_table(root: Path, text: str | None) -> None:
    if text is not None:
        write(root, {"proc/self/mountinfo": text})
    assert await read(HostCollector(model_paths=lambda: [root], root=root)) == EXPECTED


@linux
async def test_a_read_that_blocks_holds_one_thread_and_is_shared(root: Path) -> None:
    blocking = root / "proc/loadavg"
    blocking.unlink()
    os.mkfifo(blocking)
    collector = HostCollector(root=root)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await collector.collect(soon(0.05))
    waiting = [asyncio.create_task(read(collector)) for _ in range(2)]
    await asyncio.to_thread(blocking.write_text, FILES["proc/loadavg"])  # one writer serves one reader
    assert await asyncio.gather(*waiting) == [EXPECTED, EXPECTED]


@linux
async def test_a_filesystem_that_blocks_costs_its_own_metrics_only(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging, calls = threading.Event(), []

    def hang(*arguments: object) -> list[Family]:
        calls.append(arguments)
        hanging.wait()
        return []

    write(root, {"proc/self/mountinfo": ""})
    monkeypatch.setattr(host, "filesystems", hang)
    collector = HostCollector(model_paths=lambda: [root], root=root)
    for _ in range(3):
        with pytest.raises(Partial, match="the filesystems of models cannot be read: TimeoutError") as caught:
            await collector.collect(soon(0.05))
        assert len(caught.value.families) > 5
    assert len(calls) == 1
    hanging.set()


@linux
async def test_this_machine_agrees_with_psutil() -> None:
    place = Path(__file__)
    collector = HostCollector(model_paths=lambda: [place])
    disks, network, cpu = psutil.disk_io_counters(perdisk=True), psutil.net_io_counters(pernic=True), psutil.cpu_times()
    found = await read(collector)
    memory, swap, usage = psutil.virtual_memory(), psutil.swap_memory(), psutil.disk_usage(str(place))
    cpu_after = psutil.cpu_times()

    for mode in ("user", "nice", "system", "softirq", "steal"):
        seconds = found["cpu_seconds_total"][mode,]
        assert getattr(cpu, mode) <= seconds <= getattr(cpu_after, mode)
    assert found["cpus"] == {(): psutil.cpu_count()}
    assert found["boot_time_seconds"][()] == pytest.approx(psutil.boot_time(), abs=1)
    assert tuple(found["load"].values()) == pytest.approx(os.getloadavg(), abs=0.5)
    assert found["memory_total_bytes"][()] == memory.total
    assert found["memory_available_bytes"][()] == pytest.approx(memory.available, rel=0.05)
    assert found["memory_used_bytes"][()] == memory.total - found["memory_available_bytes"][()]
    assert found["swap_total_bytes"][()] == swap.total
    assert found["filesystem_size_bytes"] == {(str(_mountpoint(place)),): usage.total}
    assert next(iter(found["filesystem_available_bytes"].values())) == pytest.approx(usage.free, rel=0.05)
    for (name,), count in found.get("disk_read_bytes_total", {}).items():
        assert disks[name].read_bytes <= count <= psutil.disk_io_counters(perdisk=True)[name].read_bytes
    for (name,), count in found.get("network_received_bytes_total", {}).items():
        assert network[name].bytes_recv <= count <= psutil.net_io_counters(pernic=True)[name].bytes_recv


def _mountpoint(path: Path) -> Path:
    return next(folder for folder in path.resolve().parents if folder.is_mount())


async def test_without_proc_psutil_knows_most_of_it() -> None:
    collector = HostCollector(model_paths=lambda: [Path(__file__)])
    collector._reads, collector._mounts = host._elsewhere()
    found = await read(collector)
    assert found["memory_total_bytes"] == {(): psutil.virtual_memory().total}
    assert found["boot_time_seconds"] == {(): psutil.boot_time()}
    assert {("user",), ("system",), ("idle",)} <= set(found["cpu_seconds_total"])
    assert not {name for (name,) in found["cpu_seconds_total"] if name.startswith("guest")}
    assert found["filesystem_size_bytes"] == {
        (str(_mountpoint(Path(__file__))),): psutil.disk_usage(__file__).total,
    }
    assert {"cpus", "load", "memory_available_bytes", "memory_used_bytes", "swap_total_bytes"} <= set(found)
    assert not {"memory_cached_bytes", "oom_kills_total", "pressure_seconds_total"} & set(found)
