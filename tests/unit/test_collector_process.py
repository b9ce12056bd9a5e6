"""The process collector against trees of files, and against real processes."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from exporter.metrics.collectors.collector import NoData
from exporter.metrics.collectors.process import ProcessCollector, ProcessUsage, linux_usage, psutil_usage
from tests.support import soon

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

STAT = (
    "42 (llama (srv) x) S 1 42 42 0 -1 4194560 100 200 7 300 250 50 11 12 20 0 9 0 12345 "
    "8589934592 1000 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0\n"
)
IO = "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 5\n"
PAGE = os.sysconf("SC_PAGE_SIZE")
EXPECTED = {
    "cpu_seconds_total": 3,
    "resident_memory_bytes": 1000 * PAGE,
    "virtual_memory_bytes": 8589934592,
    "threads": 9,
    "open_fds": 3,
    "major_page_faults_total": 7,
    "read_bytes_total": 4096,
    "write_bytes_total": 8192,
}


def process(root: Path, pid: int) -> Path:
    folder = root / "proc" / str(pid)
    (folder / "fd").mkdir(parents=True)
    for fd in range(3):
        (folder / "fd" / str(fd)).touch()
    (folder / "stat").write_text(STAT)
    (folder / "io").write_text(IO)
    return folder


async def read(processes: dict[str, int], root: Path = Path("/")) -> dict[str, dict[str, float]]:
    collector = ProcessCollector(lambda: processes, root=root)
    families = await collector.collect(soon())
    assert [family.name for family in families] == [metric.name for metric in collector.metrics]
    found: dict[str, dict[str, float]] = {}
    for family in families:
        for sample in family.samples:
            ((label, model),) = sample.labels
            assert label == "model"
            found.setdefault(model, {})[family.name.removeprefix("llama_server_process_")] = float(sample.value)
    return found


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    code = "import sys, time; held = bytearray(50_000_000); sum(range(10**6)); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        yield running
        running.kill()


@linux
async def test_every_value_of_known_processes(tmp_path: Path) -> None:
    process(tmp_path, 42)
    other = process(tmp_path, 43)
    (other / "stat").write_text(STAT.replace(" S 1 42", " R 1 42").replace("(llama (srv) x)", "(a) b 1 2 3)"))
    assert await read({"": 42, "m": 43}, tmp_path) == {"": EXPECTED, "m": EXPECTED}


@linux
@pytest.mark.parametrize(
    ("name", "text", "lost"),
    [
        ("io", None, {"read_bytes_total", "write_bytes_total"}),
        ("io", "", {"read_bytes_total", "write_bytes_total"}),
        ("io", "read_bytes: x\nwrite_bytes: 8192\n", {"read_bytes_total"}),
        ("fd", None, {"open_fds"}),
        ("stat", "", set(EXPECTED) - {"open_fds", "read_bytes_total", "write_bytes_total"}),
        ("stat", "42 (x) S 1 2", set(EXPECTED) - {"open_fds", "read_bytes_total", "write_bytes_total"}),
        ("stat", "42 (x) S" + " y" * 40, set(EXPECTED) - {"open_fds", "read_bytes_total", "write_bytes_total"}),
    ],
)
async def test_a_missing_or_garbled_file_loses_its_own_metrics_only(
    tmp_path: Path, name: str, text: str | None, lost: set[str]
) -> None:
    folder = process(tmp_path, 42)
    if text is None:
        (folder / name).rename(folder / "gone")
    else:
        (folder / name).write_text(text)
    kept = {metric: value for metric, value in EXPECTED.items() if metric not in lost}
    assert await read({"m": 42}, tmp_path) == {"m": kept}


@linux
async def test_what_another_user_may_not_read_is_absent(tmp_path: Path) -> None:
    folder = process(tmp_path, 42)
    (folder / "io").unlink()
    (folder / "io").mkdir()  # unreadable for root too
    assert "read_bytes_total" not in (await read({"m": 42}, tmp_path))["m"]


@linux
@pytest.mark.parametrize("state", ["Z", "X"])
async def test_an_ended_process_has_no_samples(tmp_path: Path, state: str) -> None:
    (process(tmp_path, 42) / "stat").write_text(STAT.replace(") S ", f") {state} "))
    assert await read({"m": 42}, tmp_path) == {}


@linux
async def test_a_process_that_vanishes_while_it_is_read_has_no_samples(tmp_path: Path) -> None:
    process(tmp_path, 42)
    (process(tmp_path, 43) / "stat").unlink()
    assert await read({"a": 43, "b": 42}, tmp_path) == {"b": EXPECTED}


async def test_no_process_is_no_data() -> None:
    with pytest.raises(NoData):
        await ProcessCollector(dict).collect(soon())


async def test_a_real_process_agrees_with_psutil(child: subprocess.Popen[bytes]) -> None:
    found = (await read({"m": child.pid}))["m"]
    known = psutil.Process(child.pid)
    times = known.cpu_times()
    assert found["cpu_seconds_total"] == pytest.approx(times.user + times.system, abs=0.02)
    assert found["cpu_seconds_total"] > 0
    assert found["resident_memory_bytes"] == pytest.approx(known.memory_info().rss, rel=0.05)
    assert found["resident_memory_bytes"] > 50_000_000
    assert found["virtual_memory_bytes"] == known.memory_info().vms
    assert found["threads"] == known.num_threads()
    assert found["open_fds"] == known.num_fds()
    assert found["major_page_faults_total"] >= 0


@linux
def test_proc_and_psutil_tell_the_same(child: subprocess.Popen[bytes]) -> None:
    ours, theirs = linux_usage(child.pid), psutil_usage(child.pid)
    assert ours is not None
    assert theirs is not None
    # psutil does not know major faults on Linux.
    assert theirs == ProcessUsage(*ours)._replace(major_faults=None, resident=theirs.resident)


@linux
async def test_processes_that_end_and_are_not_reaped_and_then_are(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    await asyncio.to_thread(os.waitid, os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert await read({"m": child.pid}) == {}
    assert psutil_usage(child.pid) is None
    child.wait()
    assert await read({"m": child.pid}) == {}
    assert psutil_usage(child.pid) is None
