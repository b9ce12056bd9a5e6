"""Stdout: nothing lost, nothing blocked, whatever becomes of the other end."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec

from exporter.logs.output import LogOutput
from tests.server_log import run, server_log
from tests.support import eventually

FLOOD = """
import os, sys
size = int(sys.argv[1])
block = []
for number in range(size):
    block.append(f"0.00.{number // 1000 % 1000:03d}.{number % 1000:03d} I srv  flood: line {number}\\n")
    if len(block) == 1000:
        sys.stderr.write("".join(block))
        block.clear()
sys.stderr.write("".join(block))
"""


class Reader(threading.Thread):
    """Reads a pipe to its end; `begin` lets it start."""

    def __init__(self, fd: int) -> None:
        super().__init__(daemon=True)
        self._fd = fd
        self.begin = threading.Event()
        self.data = b""

    def run(self) -> None:
        self.begin.wait()
        pieces = []
        while data := os.read(self._fd, 1 << 20):
            pieces.append(data)
        self.data = b"".join(pieces)
        os.close(self._fd)

    def records(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(line) for line in self.data.splitlines()]


async def flooded(count: int, *, buffer: int, stalled: bool) -> tuple[LogOutput, list[dict[str, Any]]]:
    read, write = os.pipe()
    reader = Reader(read)
    reader.start()
    output = LogOutput(write, buffer=buffer, level="info", tail=100)
    if not stalled:
        reader.begin.set()
    assert await run(server_log(output), sys.executable, "-c", FLOOD, str(count)) == 0
    reader.begin.set()
    await asyncio.to_thread(output.close, 60)
    os.close(write)
    await asyncio.to_thread(reader.join)
    return output, reader.records()


async def test_a_million_lines_arrive_as_a_million_records_in_order() -> None:
    output, records = await flooded(1_000_000, buffer=1 << 30, stalled=False)
    assert output.dropped == 0
    assert [record["message"] for record in records] == [f"line {number}" for number in range(1_000_000)]
    assert output.counts["stderr", "info"] == 1_000_000


async def test_a_reader_that_stalls_stops_nothing_and_what_is_lost_is_counted_to_the_line() -> None:
    """The child runs to its end although nobody reads: only then does the reader begin."""
    output, records = await flooded(300_000, buffer=1 << 20, stalled=True)
    told = [record for record in records if record.get("event") == "log_lines_dropped"]
    lines = [int(record["message"].split()[1]) for record in records if record["message"].startswith("line ")]
    assert output.dropped > 100_000
    assert [record["count"] for record in told] == [output.dropped]
    assert len(lines) + output.dropped == 300_000
    assert lines == sorted(lines)
    assert lines[-1] == 299_999  # the oldest go


async def test_a_reader_that_is_gone_is_no_end() -> None:
    read, write = os.pipe()
    os.close(read)
    output = LogOutput(write, buffer=1 << 20, level="info", tail=100)
    assert await run(server_log(output), sys.executable, "-c", FLOOD, "5000") == 0
    output.close(10)
    assert output.dropped == output.counts["stderr", "info"] == 5000
    os.close(write)


async def test_a_disk_that_was_full_gets_what_comes_later_and_the_number_of_what_it_lacks(tmp_path: Path) -> None:
    stdout = os.open("/dev/full", os.O_WRONLY)
    output = LogOutput(stdout, buffer=1 << 20, level="info", tail=100)
    output.event("one", "lost")
    output.event("two", "lost")
    await eventually(lambda: output.dropped == 2)
    with (tmp_path / "out").open("wb") as file:
        os.dup2(file.fileno(), stdout)
    output.event("three", "written")
    output.close(10)
    os.close(stdout)
    three, dropped = map(json.loads, (tmp_path / "out").read_text().splitlines())
    assert three["event"] == "three"
    assert (dropped["event"], dropped["count"]) == ("log_lines_dropped", 2)
    assert output.dropped == 2


TORN = """
import os, resource, sys
from exporter.logs.output import LogOutput

output = LogOutput(1, buffer=1 << 20, level="info", tail=100)
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, unlimited[1]))
output.event("torn", "x" * 200)
while not output.dropped:
    os.sched_yield()
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
output.event("whole", "y")
output.close(10)
assert output.dropped == 1, output.dropped
"""


def test_behind_a_line_that_could_be_written_in_part_the_next_begins_anew(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        subprocess.run([sys.executable, "-c", TORN], stdout=file, check=True, timeout=60)
    torn, whole, dropped = (tmp_path / "out").read_text().splitlines()
    assert len(torn) == 100
    assert json.loads(whole)["event"] == "whole"
    assert json.loads(dropped)["count"] == 1
