import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from exporter import tasks
from exporter.tasks import Border, DaemonThreads
from tests.support import eventually


async def test_a_task_that_fails_is_counted_and_runs_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "RETRY_AFTER", 0)
    border, runs = Border(), []

    async def work() -> None:
        runs.append(1)
        if len(runs) < 4:
            raise ValueError("odd")

    await border.keep_running("work", work)
    assert (len(runs), border.failures["work"]) == (4, 3)


async def test_a_cancelled_task_ends() -> None:
    border = Border()
    task = asyncio.create_task(border.keep_running("sleep", lambda: asyncio.sleep(3600)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert border.failures == {}


def test_a_callback_that_fails_does_not_reach_its_caller() -> None:
    border, seen = Border(), []

    def call(number: int) -> None:
        seen.append(number)
        raise KeyError(number)

    guarded = border.callback("call", call)
    guarded(1)
    guarded(2)
    assert (seen, border.failures["call"]) == ([1, 2], 2)


async def test_threads_are_reused_and_more_are_started_when_all_hang() -> None:
    asyncio.get_running_loop().set_default_executor(DaemonThreads())
    first = await asyncio.to_thread(threading.current_thread)
    await eventually(lambda: True)
    assert first.daemon
    release = threading.Event()
    hanging = [asyncio.create_task(asyncio.to_thread(release.wait)) for _ in range(5)]
    assert await asyncio.wait_for(asyncio.to_thread(lambda: 7), 20) == 7
    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(lambda: 1 // 0)
    release.set()
    assert await asyncio.gather(*hanging) == [True] * 5
    before = threading.active_count()
    for _ in range(20):
        await asyncio.to_thread(int)
    assert threading.active_count() == before


def test_a_call_that_hangs_does_not_keep_the_process_alive(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    script = f"""
import asyncio
from exporter.tasks import DaemonThreads
async def main():
    asyncio.get_running_loop().set_default_executor(DaemonThreads())
    task = asyncio.create_task(asyncio.to_thread(open, {str(fifo)!r}))
    await asyncio.sleep(0.1)
asyncio.run(main())
print("ended")
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=60)
    assert ended.stdout == b"ended\n"
