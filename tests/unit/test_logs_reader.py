"""The reader of a pipe: it reads on whatever happens, since llama-server blocks when nobody does."""

import asyncio
import os
from collections.abc import Callable

import pytest

from exporter.logs.reader import MAX_UNENDED, PIPE_SIZE, PipeReader
from exporter.tasks import Border
from tests.support import eventually


def reading(
    lines: Callable[[str], None], silence: Callable[[], None] = lambda: None, border: Border | None = None
) -> tuple[PipeReader, int]:
    """A reader, and the end of its pipe to write to."""
    read, write = os.pipe()
    return PipeReader(read, lines, silence, border or Border()), write


async def test_it_cuts_at_every_offset_of_a_line_alike() -> None:
    text = "0.00.000.001 I srv  a: one äöü 😀\n[41381] 0.00.000.002 W srv  b: two\nlast".encode()
    for offset in range(len(text) + 1):
        blocks: list[str] = []
        reader, write = reading(blocks.append)
        os.write(write, text[:offset])
        reader.catch_up()
        os.write(write, text[offset:])
        os.close(write)
        reader.catch_up()
        await reader.wait()
        assert "".join(blocks) == text.decode() + "\n"
        assert reader.read_bytes == len(text)


async def test_a_callback_that_fails_stops_neither_the_reader_nor_its_writer() -> None:
    border = Border()
    blocks: list[str] = []

    def lines(block: str) -> None:
        blocks.append(block)
        raise ValueError(block)

    def silence() -> None:
        raise RuntimeError

    reader, write = reading(lines, silence, border)
    text = "a line\n" * (3 * PIPE_SIZE // 7)
    await asyncio.to_thread(os.write, write, text.encode())
    await eventually(lambda: reader.read_bytes == len(text))
    await eventually(lambda: border.failures["log reader"] > len(blocks))
    os.close(write)
    await reader.wait()
    assert "".join(blocks) == text


async def test_a_pipe_that_cannot_be_read_now_is_read_later(monkeypatch: pytest.MonkeyPatch) -> None:
    border = Border()
    blocks: list[str] = []
    failures = [OSError(5, "Input/output error"), MemoryError()]
    real = os.read

    def read(fd: int, size: int) -> bytes:
        if failures:
            raise failures.pop()
        return real(fd, size)

    monkeypatch.setattr(os, "read", read)
    reader, write = reading(blocks.append, border=border)
    os.write(write, b"kept\n")
    await eventually(lambda: blocks)
    os.close(write)
    await reader.wait()
    assert blocks == ["kept\n"]
    assert border.failures == {"log reader": 2}


async def test_a_process_that_never_pauses_does_not_hold_the_one_that_catches_up() -> None:
    """Nor the one that stops. Each piece that is read makes room for the next."""

    def more(_: str) -> None:
        os.write(write, b"a line\n" * 1000)

    reader, write = reading(more)
    os.write(write, b"a line\n" * 1000)
    reader.catch_up()
    assert reader.read_bytes < 2 * PIPE_SIZE
    reader.stop()
    await reader.wait()
    os.close(write)


async def test_what_never_ends_a_line_is_cut_and_takes_bounded_memory() -> None:
    sizes: list[int] = []
    reader, write = reading(lambda block: sizes.append(len(block)))
    size = 5 * MAX_UNENDED + 1
    await asyncio.to_thread(os.write, write, b"x" * size)
    os.close(write)
    await reader.wait()
    assert sum(sizes) == size + len(sizes)
    assert max(sizes) == MAX_UNENDED + 1
    assert reader.read_bytes == size
