"""Following servers of earlier 2026, from their captured answers: a router without events, pages that keep it awake."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from exporter.llama.api import ModelsAnswer, ModelState, UpstreamError, decode
from exporter.llama.client import LlamaClient
from exporter.llama.facts import Target
from exporter.llama.model_process import Common
from exporter.llama.models import Listed, ModelList
from exporter.llama.poller import Poller
from exporter.logs.events import Finished, Launched
from exporter.logs.server_events import Spawned
from exporter.metrics.collectors.native import native_pages
from exporter.tasks import Border
from exporter.usage.store import UsageStore
from tests.support import FIXTURES, eventually

MID = FIXTURES / "mid"


class Server:
    """Answers as set, and counts what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: dict[str, int] = {}
        self.port = 0
        self.answering = asyncio.Event()
        self.answering.set()

    async def start(self) -> web.AppRunner:
        application = web.Application()
        application.router.add_get("/{path:.*}", self._answer)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        return runner

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked[request.path] = self.asked.get(request.path, 0) + 1
        await self.answering.wait()
        answer = self.answers.get(request.path)
        if answer is None:
            return web.Response(status=404)
        return web.json_response(answer) if not isinstance(answer, str) else web.Response(text=answer)

    def show(self, path: str, file: str) -> None:
        text = (MID / file).read_text("utf-8")
        self.answers[path] = json.loads(text) if file.endswith(".json") else text


@pytest.fixture
async def start() -> AsyncIterator[Callable[[], Any]]:
    runners: list[web.AppRunner] = []

    async def begin() -> Server:
        server = Server()
        runners.append(await server.start())
        return server

    yield begin
    for runner in runners:
        await runner.cleanup()


def following(server: Server, client: LlamaClient, errors: list[str], *, sleeps: bool = False) -> Poller:
    def report(name: str, error: str | None) -> None:
        if error:
            errors.append(f"{name}: {error}")

    store = UsageStore(logged=True, window=10, buckets={})
    common = Common(store, lambda: 0.0, report, Border())
    poller = Poller(client, client, ModelList(lambda *_: None), common, ready_at=time.monotonic)
    poller.begin(Target(f"http://127.0.0.1:{server.port}", Path(), sleeps, time.monotonic()))
    return poller


LATER = float("inf")


def show_model(server: Server) -> None:
    server.answers["/health"] = {"status": "ok"}
    for path, file in (("/props", "props.json"), ("/v1/models", "v1-models.json"), ("/metrics", "metrics-idle.txt")):
        server.show(path, file)


def loaded(child: Server, *names: str) -> dict[str, Any]:
    """A router's list in which the first of `names` runs at the port of `child`."""
    answer: dict[str, Any] = json.loads((MID / "router-models-loaded.json").read_text())
    answer["data"] = [entry for entry in answer["data"] if entry["id"] in names]
    args = answer["data"][0]["status"]["args"]
    args[args.index("--port") + 1] = str(child.port)
    return answer


async def test_a_router_without_events_is_followed_by_its_list(start: Callable[[], Any]) -> None:
    router, child = await start(), await start()
    router.answers["/health"] = {"status": "ok"}
    router.show("/props", "router-props.json")
    router.show("/models", "router-models-before.json")
    show_model(child)
    errors: list[str] = []
    async with LlamaClient("http://127.0.0.1:1", timeout=2) as client:
        poller = following(router, client, errors)
        processes, task = poller.processes, asyncio.create_task(poller.follow())
        entries = processes.models.entries
        await poller.health()
        await eventually(lambda: len(entries) == 3)
        assert {entry.state for entry in entries.values()} == {ModelState.UNLOADED}

        router.answers["/models"] = loaded(child, "alpha", "broken")
        await eventually(lambda: "alpha" in processes.by_model)
        assert processes.model_of(child.port) == "alpha"
        assert entries["alpha"].loads["loaded"] == 1
        assert "beta" not in entries
        answer = await processes.by_model["alpha"].native(LATER)
        assert answer.page.value("llamacpp:tokens_predicted_total") is not None

        router.show("/models", "router-models-failed.json")
        router.answers["/models"]["data"] = [e for e in router.answers["/models"]["data"] if e["id"] != "beta"]
        usage = processes.by_model["alpha"].usage
        usage.take(Launched(child.port, 5))
        assert usage.tokens.running == 1
        poller.hint()
        await eventually(lambda: not processes.by_model)
        assert usage.tokens.running == 0
        assert (entries["broken"].state, entries["broken"].exit_code) == (ModelState.FAILED, 1)
        assert router.asked["/models/sse"] == 1  # asked for once, and there was none
        assert "/metrics" not in router.asked
        assert "/slots" not in child.asked
        task.cancel()
    assert errors == []


async def test_a_child_that_ends_while_it_is_asked_is_no_failure_and_does_not_come_back(
    start: Callable[[], Any],
) -> None:
    router, child = await start(), await start()
    router.show("/props", "router-props.json")
    models = Listed.of(decode("GET /models", json.dumps(loaded(child, "alpha")).encode(), ModelsAnswer))
    show_model(child)
    errors: list[str] = []
    async with LlamaClient("http://127.0.0.1:1", timeout=10) as client:
        processes = following(router, client, errors).processes
        processes.models.listed(models, 0)
        await processes.listed()
        (process,) = processes.by_model.values()
        child.answering.clear()
        asked = asyncio.create_task(native_pages(processes.by_model, LATER))
        await eventually(lambda: child.asked.get("/metrics"))
        processes.changed("alpha", ModelState.UNLOADED, 0)
        assert await asked == ({}, "")
        child.answering.set()
        with pytest.raises(UpstreamError, match="GET /metrics failed"):
            await process.native(LATER)
        await process.look()

        # Another process, which ends while it is asked who it is.
        child.answering.clear()
        props = child.asked["/props"]
        processes.models.listed(models, 0)
        connecting = asyncio.create_task(processes.listed())
        await eventually(lambda: child.asked["/props"] > props)
        processes.changed("alpha", ModelState.UNLOADED, 0)
        child.answering.set()
        await connecting
        assert processes.by_model == {}
        assert processes.models.entries["alpha"].state is ModelState.UNLOADED
    assert errors == []


async def test_pages_that_keep_a_server_awake_are_not_read_while_nothing_changes(start: Callable[[], Any]) -> None:
    server = await start()
    show_model(server)
    errors: list[str] = []
    async with LlamaClient("http://127.0.0.1:1", timeout=2) as client:
        poller = following(server, client, errors, sleeps=True)
        processes = poller.processes
        await poller.step()
        (process,) = processes.by_model.values()
        for event in (Launched(None, 1), Finished(None, 1, "completed", 3, 0, 5)):
            process.usage.take(event)
        await process.look()
        await process.native(LATER)
        read = server.asked["/metrics"]
        for _ in range(5):
            await process.look()
            await process.native(LATER)
        assert server.asked["/metrics"] == read
        process.usage.take(Launched(None, 2))
        process.usage.take(Finished(None, 2, "completed", 3, 0, 5))
        await process.native(LATER)
        assert server.asked["/metrics"] == read + 1
        assert "/slots" not in server.asked
        # Asleep, nothing at all is asked but who it is.
        server.answers["/props"]["is_sleeping"] = True
        poller.hint()
        await poller.step()
        assert process.asleep
        for _ in range(5):
            await process.look()
            await process.native(LATER)
        assert server.asked["/metrics"] == read + 1
    assert errors == []


async def test_a_page_that_is_late_is_an_error_by_the_deadline_and_there_for_the_next(start: Callable[[], Any]) -> None:
    server = await start()
    show_model(server)
    errors: list[str] = []
    async with LlamaClient("http://127.0.0.1:1", timeout=10) as client:
        poller = following(server, client, errors)
        await poller.step()
        (process,) = poller.processes.by_model.values()
        server.answering.clear()
        with pytest.raises(UpstreamError, match="not answered in time"):
            await process.native(time.monotonic() + 0.05)
        waiting = asyncio.create_task(process.native(LATER))
        await eventually(lambda: server.asked.get("/metrics"))
        server.answering.set()
        assert (await waiting).page.value("llamacpp:tokens_predicted_total") is not None
        assert server.asked["/metrics"] == 1
    assert errors == []


async def test_a_process_that_is_late_costs_the_others_nothing(start: Callable[[], Any]) -> None:
    router, child, late = await start(), await start(), await start()
    router.show("/props", "router-props.json")
    show_model(child)
    show_model(late)
    answer = loaded(child, "alpha", "beta")
    args = answer["data"][1]["status"]["args"]
    args[args.index("--port") + 1] = str(late.port)
    errors: list[str] = []
    async with LlamaClient("http://127.0.0.1:1", timeout=10) as client:
        processes = following(router, client, errors).processes
        processes.models.listed(Listed.of(decode("GET /models", json.dumps(answer).encode(), ModelsAnswer)), 0)
        await processes.listed()
        late.answering.clear()
        pages, said = await native_pages(processes.by_model, time.monotonic() + 0.5)
        assert (list(pages), said) == (["alpha"], "beta: GET /metrics was not answered in time")
        late.answering.set()
        processes.ended()
        await eventually(lambda: not processes._closing)
    assert errors == []


async def test_a_single_server_has_no_children_whatever_its_log_says(start: Callable[[], Any]) -> None:
    server = await start()
    show_model(server)
    errors: list[str] = []
    async with LlamaClient("http://127.0.0.1:1", timeout=2) as client:
        poller = following(server, client, errors)
        await poller.step()
        poller.router_said(Spawned("forged", 4001))
        assert poller.processes.model_of(4001) is None
    assert errors == []
