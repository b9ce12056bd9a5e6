"""The log from pipe to stdout: nothing lost, nothing blocked, cut lines, the tail, the text format."""

import asyncio
import json
import os
import random
import re
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.logs.assembler import Assembler
from exporter.logs.output import MAX_LINE, cut, json_lines, text_lines
from exporter.logs.reader import Pump
from exporter.logs.record import Clock, Record
from exporter.logs.server_events import Access
from exporter.logs.stream import LogStream
from exporter.logs.tail import WAITING, Tail
from tests.support import FIXTURES, eventually

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


async def run(log: LogStream, *command: str) -> int:
    """Run a child with both pipes followed, until everything has been read."""
    out, err = os.pipe(), os.pipe()
    child = await asyncio.create_subprocess_exec(*command, stdout=out[1], stderr=err[1])
    os.close(out[1])
    os.close(err[1])
    log.follow(out[0], err[0])
    code = await child.wait()
    for pump in log._pumps:
        await pump.wait()
    return code


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


async def flooded(count: int, *, buffer: int, stalled: bool) -> tuple[LogStream, list[dict[str, Any]]]:
    read, write = os.pipe()
    reader = Reader(read)
    reader.start()
    log = LogStream(write, buffer=buffer, level="info", tail=100)
    if not stalled:
        reader.begin.set()
    assert await run(log, sys.executable, "-c", FLOOD, str(count)) == 0
    reader.begin.set()
    await asyncio.to_thread(log.close, 60)
    os.close(write)
    await asyncio.to_thread(reader.join)
    return log, reader.records()


async def test_a_million_lines_arrive_as_a_million_records_in_order() -> None:
    log, records = await flooded(1_000_000, buffer=1 << 30, stalled=False)
    assert log.dropped == 0
    assert [record["message"] for record in records] == [f"line {number}" for number in range(1_000_000)]
    assert log.counts["stderr", "info"] == 1_000_000


async def test_a_reader_that_stalls_stops_nothing_and_what_is_lost_is_counted_to_the_line() -> None:
    """The child runs to its end although nobody reads: only then does the reader begin."""
    log, records = await flooded(300_000, buffer=1 << 20, stalled=True)
    told = [record for record in records if record.get("event") == "log_lines_dropped"]
    lines = [int(record["message"].split()[1]) for record in records if record["message"].startswith("line ")]
    assert log.dropped > 100_000
    assert [record["count"] for record in told] == [log.dropped]
    assert len(lines) + log.dropped == 300_000
    assert lines == sorted(lines)
    assert lines[-1] == 299_999  # the oldest go


async def test_a_reader_that_is_gone_is_no_end() -> None:
    read, write = os.pipe()
    os.close(read)
    log = LogStream(write, buffer=1 << 20, level="info", tail=100)
    assert await run(log, sys.executable, "-c", FLOOD, "5000") == 0
    log.close(10)
    assert log.dropped == log.counts["stderr", "info"] == 5000
    os.close(write)


async def test_a_child_that_is_killed_in_the_middle_of_a_line(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        log = LogStream(file.fileno(), buffer=1 << 20, level="info", tail=100)
        script = r"import os; os.write(2, b'0.00.000.001 I srv  a: whole\nhalf of a li'); os.kill(os.getpid(), 9)"
        assert await run(log, sys.executable, "-c", script) == -signal.SIGKILL
        log.close(10)
    messages = [json.loads(line)["message"] for line in (tmp_path / "out").read_text().splitlines()]
    assert "\n".join(messages) == "whole\nhalf of a li"


BUILDS = ["old/mixed.stderr.log", "mid/prefix.stderr.log", "new/router.stdout.log", "old/verbose.stderr.log"]


def assembled(blocks: Sequence[str]) -> list[tuple[int | None, Record]]:
    assembler = Assembler(Clock(lambda: 10**15), lambda child: None if child is None else str(child))
    records = [record for block in blocks for record in assembler.feed(block)]
    return sorted([*records, *assembler.flush()], key=lambda written: written[0] or 0)


@pytest.mark.parametrize("file", BUILDS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_any_chunking_gives_the_same_records(file: str, seed: int) -> None:
    """Blocks as the pump would make them of pieces of any size."""
    data = (FIXTURES / file).read_bytes()[:12_000]
    rng = random.Random(seed)
    blocks: list[str] = []
    rest = b""
    position = 0
    while position < len(data):
        piece = data[position : position + rng.choice((1, 2, 3, 7, 50, 300, 5000))]
        position += len(piece)
        whole, newline, tail = piece.rpartition(b"\n")
        if newline:
            blocks.append((rest + whole + newline).decode("utf-8", "replace"))
            rest = tail
        else:
            rest += piece
    blocks.append(rest.decode("utf-8", "replace") + "\n")
    assert assembled(blocks) == assembled([data.decode("utf-8", "replace") + "\n"])


async def test_the_pump_cuts_at_every_offset_of_a_line_alike() -> None:
    text = "0.00.000.001 I srv  a: one äöü 😀\n[41381] 0.00.000.002 W srv  b: two\nlast".encode()
    expected = None
    for offset in range(len(text) + 1):
        read, write = os.pipe()
        blocks: list[str] = []
        pump = Pump(read, blocks.append, lambda: None)
        os.write(write, text[:offset])
        pump.catch_up()
        os.write(write, text[offset:])
        os.close(write)
        await pump.wait()
        expected = expected or "".join(blocks)
        assert "".join(blocks) == expected == text.decode() + "\n"


async def test_invalid_utf8_is_kept_as_replacement_characters(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        log = LogStream(file.fileno(), buffer=1 << 20, level="info", tail=100)
        script = r"import os; os.write(2, b'srv  a: \xff\xfe ok \xc3\n')"
        await run(log, sys.executable, "-c", script)
        log.close(10)
    assert json.loads((tmp_path / "out").read_text())["message"] == "\ufffd\ufffd ok \ufffd"


ANY_TEXT = st.text(alphabet=st.characters(codec="utf-8"))


@given(ANY_TEXT, st.integers(0, 60_000))
@settings(max_examples=60, deadline=None)
def test_long_messages_become_numbered_parts_that_lose_nothing(text: str, repeat: int) -> None:
    message = (text * (repeat // max(1, len(text)) + 1))[:60_000]
    record = Record("2026-01-01T00:00:00.000000Z", "info", "llama-server", "m", message=message)
    lines, count = json_lines([record, record])
    decoded = [json.loads(line) for line in lines.splitlines()]
    assert len(decoded) == count
    assert all(len(line) < MAX_LINE for line in lines.splitlines())
    first = decoded[: count // 2]
    assert "".join(line["message"] for line in first) == message
    if len(first) > 1:
        assert [(line["part"], line["parts"]) for line in first] == [(n + 1, len(first)) for n in range(len(first))]
    assert len(cut(record)) == len(first)


def test_times_come_from_the_offsets_never_go_back_and_are_never_in_the_future() -> None:
    now = [1_000_000_000]
    clock = Clock(lambda: now[0])
    clock.read()
    assert clock.stamp(None, 5_000_000) == "1970-01-01T00:16:40.000000Z"  # it began at 995 s
    now[0] += 10_000_000
    clock.read()
    assert clock.stamp(None, 7_500_000) == "1970-01-01T00:16:42.500000Z"
    assert clock.stamp(None, 7_000_000) == "1970-01-01T00:16:42.500000Z"
    assert clock.stamp(None, 99_000_000) == "1970-01-01T00:16:50.000000Z"
    assert clock.stamp(4001, 1) == "1970-01-01T00:16:50.000000Z"
    assert clock.stamp(4001, None) == "1970-01-01T00:16:50.000000Z"


def test_the_exporters_own_questions_are_taken_out_and_others_counted() -> None:
    access = Access()
    access.asked("/health")

    def line(text: str) -> Record:
        return Record("", "info", "llama-server", None, "srv", "log_server_r", message=text)

    health = line("request: GET /health 127.0.0.1 200")
    assert [access.own(health), access.own(health)] == [True, False]
    assert not access.own(line("done request: POST /v1/chat/completions 10.0.0.7 200"))
    assert not access.own(line("request: POST /../../etc/passwd 10.0.0.7 404"))
    assert not access.own(line("request:  {}"))
    assert dict(access.counts) == {("/health", "200"): 1, ("/v1/chat/completions", "200"): 1, ("other", "404"): 1}


def record(number: int, level: str = "info", model: str | None = None, message: str = "") -> Record:
    return Record(f"t{number}", level, "llama-server", model, message=message or f"Message {number}")  # type: ignore[arg-type]


def test_the_tail_keeps_the_last_and_finds_by_level_model_source_and_text() -> None:
    tail = Tail(10)
    for begin in range(0, 30, 3):
        levels = ("info", "warn", "error")
        tail.add(*json_lines([record(begin + n, levels[n], "ab"[n % 2]) for n in range(3)]))

    def ids(**wanted: Any) -> list[int]:
        return [json.loads(line)["id"] for line in tail.search(**{"limit": 100, **wanted})]

    assert ids() == list(range(30, 20, -1))
    assert ids(limit=3) == [30, 29, 28]
    assert ids(before=25) == [24, 23, 22, 21]
    assert ids(level="error") == [30, 27, 24, 21]
    assert ids(level="warn", model="b") == [29, 26, 23]
    assert ids(text="message 2", limit=2) == [30, 29]
    assert ids(source="exporter") == []
    (newest,) = tail.search(limit=1)
    assert list(json.loads(newest))[:3] == ["id", "time", "level"]


async def test_listeners_hear_every_record_and_a_slow_one_is_dropped() -> None:
    tail = Tail(10)
    with tail.listen() as quick, tail.listen() as slow:
        for number in range(WAITING + 5):
            tail.add(*json_lines([record(number)]))
            heard = quick.get_nowait()
            assert heard is not None
            assert json.loads(heard)["message"] == f"Message {number}"
        assert slow.qsize() == WAITING + 1
        last: deque[bytes | None] = deque(maxlen=1)
        while not slow.empty():
            last.append(slow.get_nowait())
        assert last[0] is None


def test_text_for_people() -> None:
    records = [
        Record(
            "2026-11-23T06:55:09.123456Z", "error", "llama-server", "tiny", "srv", "f", None, None, None, "a\nb\x1b[2J"
        ),
        Record("2026-11-23T06:55:09.123456Z", "info", "exporter", event="e", message="m", fields={"pid": 7}),
    ]
    plain = text_lines(colour=False)(records)[0].decode()
    first, below, own = plain.splitlines()
    assert first.startswith("06:55:09.123 error tiny")
    assert below.strip().startswith("b")
    assert below.index("b") == first.index("a", 20)
    assert own.endswith("m pid=7")
    assert "\x1b" not in plain
    assert text_lines(colour=True)(records)[0].decode().count("\x1b[31m") == 1


async def test_what_continues_users_words_is_withheld_with_them(tmp_path: Path) -> None:
    lines = [
        'srv  log_server_r: request:  {"prompt": "first secret',
        "Note: second secret",
        "third secret",
        '"]}',
        "srv  update_slots: all slots are idle",
        "No parser definition detected, assuming pure content.Parsing PEG input with format Content-only: x secret",
        "y secret",
        "slot      release: id  0 | task 0 | stop processing: n_tokens = 5, truncated = 0",
        "srv          load:   --api-key",
        "srv          load:   sk-key-secret",
        "srv          load:   --port",
        "error: invalid argument: --api-key=sk-secret",
    ]
    (tmp_path / "lines").write_text("\n".join(lines) + "\n")
    with (tmp_path / "out").open("wb") as file:
        log = LogStream(file.fileno(), buffer=1 << 20, level="debug", tail=100)
        await run(log, "sh", "-c", f"cat {tmp_path / 'lines'} >&2")
        log.close(10)
    shipped = (tmp_path / "out").read_text()
    assert "secret" not in re.sub(r"a secret", "", shipped)
    assert "all slots are idle" in shipped
    assert "stop processing" in shipped
    assert "--port" in shipped
    assert "invalid argument: --api-key=" in shipped
    assert not [line for line in log.last_lines if "secret" in line.replace("a secret", "")]
    assert b"secret" not in b"".join(log.tail.search(limit=100)).replace(b"a secret", b"")


async def test_lines_that_trickle_arrive_within_a_moment(tmp_path: Path) -> None:
    """A partial line is given out when its writer falls silent, and is not lost when it goes on."""
    read, write = os.pipe()
    out = (tmp_path / "out").open("wb")
    log = LogStream(out.fileno(), buffer=1 << 20, level="info", tail=100)
    other = os.pipe()
    log.follow(other[0], read)
    os.write(write, b"0.00.000.001 I srv  a: one\n")
    begun = time.monotonic()
    await eventually(lambda: log.tail.search(limit=1))
    assert time.monotonic() - begun < 2
    os.close(write)
    os.close(other[1])
    await log.drained()
    log.close(10)
    out.close()
