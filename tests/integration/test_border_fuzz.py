"""Whatever llama-server answers, the exporter lives, its own answers are valid, and it stays small and quick."""

import asyncio
import re
import shutil
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.integration.program import Program, exporter
from tests.known_metrics import native, own
from tests.odd_answers import CHILD, KNOWN, ROUTER, SINGLE, odd_answers
from tests.support import eventually
from tests.upstream import CLOSED, GENERATED, Answer, Build, Upstream

MEMORY = 150 * 1024
"""KiB that the exporter may take at any time."""
BLOCKED = 0.2
"""Seconds of CPU time that one callback may take on the event loop."""
TIMED = f"""
import asyncio, runpy, sys, time
run = asyncio.Handle._run
def timed(handle):
    before = time.thread_time()
    run(handle)
    if (spent := time.thread_time() - before) > {BLOCKED}:
        print(f"the event loop was blocked for {{spent:.2f}} s by {{handle!r:.300}}", file=sys.stderr, flush=True)
asyncio.Handle._run = timed
runpy.run_module("exporter", run_name="__main__", alter_sys=True)
"""
"""The exporter, timed from inside: the CPU time of its own thread, to which other load on the machine adds nothing."""
ABSURD = 2.0**63
"""No number of ours is so large; none is NaN."""
API = ("status", "models", "logs", "config", "history")
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
PROMTOOL_REMARKS = 3  # its exit code for a page that it can read and would rather see otherwise


class Stand:
    """An exporter attached to `front`, and what it is held to while servers answer oddly."""

    def __init__(self, front: Upstream, folder: Path) -> None:
        self.front = front
        self._folder = folder
        self._stack = AsyncExitStack()
        self._program: Program | None = None

    async def close(self) -> None:
        self._program = None
        await self._stack.aclose()

    async def play(self, model: str, path: str, answer: Answer, *, fresh: bool, goes_on: bool) -> None:
        """Let the server, or the child with this model, answer oddly; hold the exporter to what is promised.

        `fresh`: another process answers so from its beginning, otherwise the one that has been well until now.
        `goes_on`: the exporter has to be content with the same process afterwards, otherwise with another one.
        """
        server = self.front.children.get(model, self.front)
        it = self._program = self._program or await self._start()
        try:
            if fresh:
                await self._another_process(it, server)
            server.odd[path] = answer
            await (eventually(lambda: load(it)) if path == "POST /models/load" else heard(it, server, path, 1))
            await heard(it, self.front, "GET /health", 2)
            async with asyncio.timeout(60):  # it may be busy for ever
                await hold(it, answer.body if path == "GET /metrics" else b"")
            server.odd.clear()
            if not goes_on:
                await self._another_process(it, server)
            await eventually(lambda: measured(it, self.front))
        except BaseException:
            server.odd.clear()
            with suppress(AssertionError, TimeoutError):  # what is wrong with it is known
                await self.close()
            raise

    async def _start(self) -> Program:
        server = {"attach": self.front.url, "health": {"interval": "50ms", "timeout": "1s"}}
        timed = (sys.executable, "-c", TIMED)
        it = await self._stack.enter_async_context(exporter(server=server, folder=self._folder, program=timed))
        await eventually(lambda: measured(it, self.front))
        return it

    async def _another_process(self, it: Program, server: Upstream) -> None:
        """Replace the server, after a silence in which the address may have become anybody's."""
        server.restart()
        server.launch()
        self.front.odd["*"] = CLOSED
        await heard(it, self.front, "GET /health", 3)
        del self.front.odd["*"]


async def heard(it: Program, server: Upstream, path: str, times: int) -> None:
    """Wait until the exporter has had so many more answers, or has ended."""
    before = server.answered[path]
    await eventually(lambda: server.answered[path] >= before + times or ended(it))


def ended(it: Program) -> bool:
    return it.process.returncode is not None


async def load(it: Program) -> bool:
    """Order a load, as soon as the router is known as one. What the answer is, it is JSON."""
    async with it.session.post(f"{it.url}/api/v1/models/load", json={"model": "beta"}) as response:
        msgspec.json.decode(await response.read())
        return response.status not in (404, 409)


async def measured(it: Program, server: Upstream) -> bool:
    """Everything is well again: up, and the counters of every model on the page."""
    samples = await it.metrics()
    models = server.children or {server.models["data"][0]["id"]: server}
    counters = [f"llamacpp:{GENERATED}{{model={model}}}" for model in models]
    return samples["llama_server_up"] == 1 and all(counter in samples for counter in counters)


def peak_memory(pid: int) -> int:
    """The most memory that the process has ever had, in KiB."""
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(peak)


async def hold(it: Program, native_page: bytes) -> None:
    """All that is promised, whatever came in. `native_page` may bring families of its own."""
    assert not ended(it), f"the exporter ended with code {it.process.returncode}: {it.lines[-3:]} {it.stderr[-2000:]!r}"
    status, page = await it.get("/metrics")
    assert status == 200
    samples = [sample for family in parse_text(page) for sample in family.samples]
    names = {sample.name for sample in samples}
    allowed = {*own(), *native(), *NAME.findall(native_page.decode("utf-8", "replace"))}
    # The parser of prometheus_client puts `_total` behind every counter.
    assert {name for name in names if name not in allowed and name.removesuffix("_total") not in allowed} == set()
    assert [sample for sample in samples if sample.name in own() and not abs(sample.value) < ABSURD] == []
    series = [(sample.name, *sorted(sample.labels.items())) for sample in samples]
    assert len(series) == len(set(series))
    if promtool := shutil.which("promtool"):
        process = await asyncio.create_subprocess_exec(
            promtool, "check", "metrics", stdin=PIPE, stdout=PIPE, stderr=PIPE
        )
        remarks = await process.communicate(page.encode())
        assert process.returncode in (0, PROMTOOL_REMARKS), remarks
    status, page = await it.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert status == 200
    assert [*parse_openmetrics(page)]
    for name in API:
        status, body = await it.get(f"/api/v1/{name}")
        assert status == 200, body
        msgspec.json.decode(body)
    assert peak_memory(it.process.pid) < MEMORY
    assert it.stderr == b""


@pytest.fixture(params=["single", "router"])
async def stand(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stand]:
    async with AsyncExitStack() as stack:
        children = {}
        if request.param == "router":
            children = {name: await stack.enter_async_context(Upstream()) for name in ("alpha", "beta")}
        stand = Stand(await stack.enter_async_context(Upstream(children=children)), tmp_path)
        for server in (stand.front, *children.values()):
            server.launch()
        stack.push_async_callback(stand.close)
        yield stand


@settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.reuse, Phase.generate],  # to make an example smaller takes minutes, and it is small
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    print_blob=True,
)
@given(data=st.data())
async def test_odd_answers_of_every_endpoint(stand: Stand, data: st.DataObject) -> None:
    build: Build = data.draw(st.sampled_from(get_args(Build)))
    model, path, fresh = data.draw(st.sampled_from(ROUTER + CHILD if stand.front.children else SINGLE))
    await stand.play(model, path, data.draw(odd_answers(path, build)), fresh=fresh, goes_on=False)


@pytest.mark.parametrize(("stand", "path", "answer"), KNOWN.values(), ids=KNOWN.keys(), indirect=["stand"])
async def test_odd_answers_that_were_trouble(stand: Stand, path: str, answer: Answer) -> None:
    for model, asked, fresh in ROUTER if stand.front.children else SINGLE:
        if asked == path:
            await stand.play(model, path, answer, fresh=fresh, goes_on=True)
