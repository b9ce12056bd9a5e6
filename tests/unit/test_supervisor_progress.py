"""Progress of requests, seen on real processes: one that works, one that waits, one that lets a child work."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.llama.api import ModelState
from exporter.llama.client import LlamaClient
from exporter.llama.facts import Facts, Target
from exporter.llama.model_process import Common, ModelProcess
from exporter.llama.models import Listed, ModelList
from exporter.llama.processes import Processes
from exporter.logs.events import Launched
from exporter.supervisor.progress import CpuUse, RequestProgress
from exporter.tasks import Border
from exporter.usage.store import UsageStore
from tests.support import eventually

BUSY = f"exec {sys.executable} -c 'while True: pass'"
NEVER = float("-inf")


@pytest.fixture
def shell() -> Iterator[Any]:
    started: list[subprocess.Popen[bytes]] = []

    def begin(script: str) -> int:
        started.append(subprocess.Popen(["/bin/sh", "-c", script], start_new_session=True))
        return started[-1].pid

    yield begin
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def test_cpu_use_of_a_process_and_of_its_descendants(shell: Any) -> None:
    use, working, waiting = CpuUse(), shell(BUSY), shell("sleep 600")
    wrapper = shell(f"({BUSY}) & wait")
    first = {pid: use.busy_at(pid) for pid in (working, waiting, wrapper)}

    def later() -> bool:
        return use.busy_at(working) > first[working] + 0.2 and use.busy_at(wrapper) > first[wrapper] + 0.2

    await eventually(later)
    assert use.busy_at(waiting) == first[waiting]
    use.keep([working])
    assert use.busy_at(waiting) > first[waiting]  # a PID that was forgotten is a new process


class Case:
    """Requests that run in processes of this test, and nothing heard of them."""

    def __init__(self, *models: str) -> None:
        self.pids: dict[str, int] = {}
        self.gpu = NEVER
        self.heard = NEVER
        self.told: list[tuple[str, bool]] = []
        store = UsageStore(logged=True, window=10, buckets={})
        common = Common(store, lambda: 1.0, lambda *_: None, Border())
        self.client = client = LlamaClient("http://127.0.0.1:1", timeout=1)
        self.processes = Processes(client, ModelList(lambda *_: None), common)
        self.processes.begin(Target("http://127.0.0.1:1", Path(), sleeps=False, started=1.0))
        self.processes.facts = Facts(models[0], "b1", "router" if len(models) > 1 else "single")
        self.processes.models.listed([Listed(name, ModelState.LOADED) for name in models], 0)
        for port, name in enumerate(models):
            facts = Facts(name, "b1", "single")
            self.processes.by_model[name] = ModelProcess(client, facts, common, child=port, sleeps=False)
            store.take(name, Launched(port, 1))
        self.progress = RequestProgress(
            self.processes,
            store,
            heard_at=lambda: self.heard,
            pids=lambda: self.pids,
            gpu_busy_at=lambda _: self.gpu,
            stalled_model=lambda name, seconds: self.told.append((name, seconds is not None)),
        )


@pytest.fixture
async def case() -> AsyncIterator[Any]:
    made: list[Case] = []

    def begin(*models: str) -> Case:
        made.append(Case(*models))
        return made[-1]

    yield begin
    for each in made:
        await each.client.close()


async def test_requests_without_a_sign_of_life_stall_a_single_server(shell: Any, case: Any) -> None:
    it = case("a")
    it.pids["a"] = shell("sleep 600")
    assert it.progress.running == 1
    await eventually(lambda: stalls(it, 0.3))
    it.heard = time.monotonic()
    assert not await stalls(it, 0.3)
    await eventually(lambda: stalls(it, 0.3))
    it.gpu = time.monotonic() + 5
    assert not await stalls(it, 0.3)


async def test_a_slow_prompt_uses_the_cpu_and_does_not_stall(shell: Any, case: Any) -> None:
    it = case("a")
    it.pids["a"] = shell(BUSY)
    waiting = case("a")
    waiting.pids["a"] = shell("sleep 600")
    await eventually(lambda: stalls(waiting, 2.0))
    assert not await stalls(it, 2.0)


async def stalls(it: Case, limit: float) -> bool:
    return bool(await it.progress.stalled(limit) >= limit)


async def test_a_stalled_child_of_a_router_is_that_models_matter(shell: Any, case: Any) -> None:
    it = case("a", "b")
    it.pids = {"a": shell("sleep 600"), "b": shell(BUSY)}

    async def reported() -> bool:
        assert await it.progress.stalled(1.5) == 0
        return bool(it.told)

    await eventually(reported)
    assert it.told == [("a", True)]
    entries = it.processes.models.entries
    assert entries["a"].stalled is not None
    assert entries["b"].stalled is None
    it.processes.by_model["a"].usage.gone(0)
    await it.progress.stalled(1.5)
    assert it.told == [("a", True), ("a", False)]
