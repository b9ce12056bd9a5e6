"""Lines to records: joined alike wherever a pipe's pieces end, and dated."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.logs.assembler import Assembler, Clock
from exporter.logs.record import Record
from tests.support import FIXTURES

BUILDS = ["old/mixed.stderr.log", "mid/prefix.stderr.log", "new/router.stdout.log", "old/verbose.stderr.log"]


def assembled(blocks: Sequence[str]) -> list[tuple[int | None, Record]]:
    assembler = Assembler(Clock(lambda: 10**15), lambda child: None if child is None else str(child))
    records = [record for block in blocks for record in assembler.feed(block)]
    return sorted([*records, *assembler.flush()], key=lambda written: written[0] or 0)


@pytest.mark.parametrize("file", BUILDS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_any_chunking_gives_the_same_records(file: str, seed: int) -> None:
    """Blocks as the reader would make them of pieces of any size."""
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


def test_a_line_of_an_impossible_age_moves_no_other() -> None:
    now = [10**15]
    clock = Clock(lambda: now[0])
    stamps = []
    for offset in (1_000_000, 99_999_999 * 60 * 1_000_000, 10**300, 4_000_000):
        now[0] += 1_000_000
        clock.read()
        stamps.append(clock.stamp(None, offset))
    assert [stamp[17:22] for stamp in stamps] == ["41.00", "42.00", "43.00", "44.00"]
