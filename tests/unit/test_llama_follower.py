"""Following servers of earlier 2026, from their captured answers: a router without events, pages that keep it awake."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from exporter.llama.client import LlamaClient, UpstreamError
from exporter.llama.follower import Follower
from exporter.llama.models import Models
from exporter.llama.roster import ModelState, Roster, read_models
from exporter.llama.server import LlamaServer
from exporter.logs.events import Finished, Launched
from exporter.metrics.collectors.native import NativeCollector
from exporter.usage.store import Ledger
from tests.support import FIXTURES, eventually, soon

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


def following(server: Server, client: LlamaClient, errors: list[str], *, sleeps: bool = False) -> Follower:
    ask = LlamaServer(client, mode="single", share_within=0, folder=Path())
    ledger = Ledger(logged=True, window=10, buckets={})
    models = Models(
        client,
        ask,
        ledger,
        Roster(lambda *_: None),
        supervised=True,
        report=lambda name, error: errors.append(f"{name}: {error}") if error else None,
    )
    return Follower(
        models,
        client,
        ready=lambda: bool(server.port),
        times=lambda: (time.monotonic(), time.monotonic()),
        sleeps=lambda: sleeps,
        report=models._report,
    )


async def test_a_router_without_events_is_followed_by_its_list(start: Callable[[], Any]) -> None:
    router, child = await start(), await start()
    router.show("/props", "router-props.json")
    router.show("/v1/models", "router-models-before.json")
    router.show("/models", "router-models-before.json")
    for path, file in (("/props", "props.json"), ("/v1/models", "v1-models.json"), ("/metrics", "metrics-idle.txt")):
        child.show(path, file)
    errors: list[str] = []
    async with LlamaClient(f"http://127.0.0.1:{router.port}", timeout=2) as client:
        follower = following(router, client, errors)
        models, task = follower.models, asyncio.create_task(follower.run())
        entries = models.roster.entries
        await eventually(lambda: len(entries) == 3)
        assert {entry.state for entry in entries.values()} == {ModelState.UNLOADED}

        loaded = json.loads((MID / "router-models-loaded.json").read_text())
        loaded["data"] = [entry for entry in loaded["data"] if entry["id"] != "beta"]
        args = loaded["data"][0]["status"]["args"]
        args[args.index("--port") + 1] = str(child.port)
        router.answers["/models"] = loaded
        await eventually(lambda: "alpha" in models.instances)
        assert models.model_of(child.port) == "alpha"
        assert (entries["alpha"].loads["loaded"], entries["beta"].state) == (1, None)
        answer = await models.instances["alpha"].native()
        assert answer.page.value("llamacpp:tokens_predicted_total") is not None

        router.show("/models", "router-models-failed.json")
        models.instances["alpha"].account.take(Launched(child.port, 5))
        assert models.running == 1
        router.answers["/models"]["data"] = [e for e in router.answers["/models"]["data"] if e["id"] != "beta"]
        follower.hint()
        await eventually(lambda: not models.instances)
        assert models.running == 0
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
    router.show("/v1/models", "router-models-loaded.json")
    loaded = json.loads((MID / "router-models-loaded.json").read_text())
    loaded["data"] = [entry for entry in loaded["data"] if entry["id"] == "alpha"]
    args = loaded["data"][0]["status"]["args"]
    args[args.index("--port") + 1] = str(child.port)
    router.answers["/models"] = loaded
    for path, file in (("/props", "props.json"), ("/v1/models", "v1-models.json"), ("/metrics", "metrics-idle.txt")):
        child.show(path, file)
    errors: list[str] = []
    async with LlamaClient(f"http://127.0.0.1:{router.port}", timeout=10) as client:
        models = following(router, client, errors).models
        models.roster.listed(read_models(loaded), 0)
        await models.listed()
        (instance,) = models.instances.values()
        child.answering.clear()
        asked = asyncio.create_task(NativeCollector(models).collect(soon()))
        await eventually(lambda: child.asked.get("/metrics"))
        models.changed("alpha", ModelState.UNLOADED, 0)
        assert not any(family.size for family in await asked)
        child.answering.set()
        with pytest.raises(UpstreamError, match="not asked any more"):
            await instance.native()
        await instance.look()

        # Another process, which ends while it is asked who it is.
        child.answering.clear()
        props = child.asked["/props"]
        models.roster.listed(read_models(loaded), 0)
        connecting = asyncio.create_task(models.listed())
        await eventually(lambda: child.asked["/props"] > props)
        models.changed("alpha", ModelState.UNLOADED, 0)
        child.answering.set()
        await connecting
        assert models.instances == {}
        assert models.roster.entries["alpha"].state is ModelState.UNLOADED
    assert errors == []


async def test_pages_that_keep_a_server_awake_are_not_read_while_nothing_changes(start: Callable[[], Any]) -> None:
    server = await start()
    for path, file in (("/props", "props.json"), ("/v1/models", "v1-models.json"), ("/metrics", "metrics-idle.txt")):
        server.show(path, file)
    errors: list[str] = []
    async with LlamaClient(f"http://127.0.0.1:{server.port}", timeout=2) as client:
        follower = following(server, client, errors, sleeps=True)
        await follower.step()
        (instance,) = follower.models.instances.values()
        for event in (Launched(None, 1), Finished(None, 1, "completed", 3, 0, 5)):
            follower.models.take(event)
        await instance.look()
        await instance.native()
        read = server.asked["/metrics"]
        for _ in range(5):
            await instance.look()
            await instance.native()
        assert server.asked["/metrics"] == read
        follower.models.take(Launched(None, 2))
        follower.models.take(Finished(None, 2, "completed", 3, 0, 5))
        await instance.native()
        assert server.asked["/metrics"] == read + 1
        assert "/slots" not in server.asked
        # Asleep, nothing at all is asked but who it is.
        server.answers["/props"]["is_sleeping"] = True
        follower.hint()
        await follower.step()
        assert instance.asleep
        for _ in range(5):
            await instance.look()
            await instance.native()
        assert server.asked["/metrics"] == read + 1
    assert errors == []
