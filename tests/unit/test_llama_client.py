import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from exporter.llama.api import Health, ModelsAnswer, Props, Slot, SlotsAnswer, UpstreamError, busy, decode
from exporter.llama.client import MAX_JSON, LlamaClient
from tests.support import FIXTURES

KINDS: dict[str, Any] = {"props": Props, "models": ModelsAnswer, "slots": SlotsAnswer}


@pytest.mark.parametrize("file", sorted(FIXTURES.glob("*/*.json")), ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_the_answers_of_real_builds_fit(file: Path) -> None:
    for name, kind in KINDS.items():
        if name in file.stem:
            decode(f"GET /{name}", file.read_bytes(), kind)


def test_slots_of_all_builds_show_the_running_request() -> None:
    found: dict[str, list[Slot]] = {}
    for build in ("old", "mid", "new"):
        found[build] = busy(decode("GET /slots", (FIXTURES / build / "slots-busy.json").read_bytes(), SlotsAnswer))
    assert {build: len(slots) for build, slots in found.items()} == {"old": 1, "mid": 1, "new": 1}
    new, old = found["new"][0], found["old"][0]
    assert (new.task, new.generated, new.prompt_processed, new.prompt_cached, new.held) == (93, 1236, 9, 2, 1246)
    assert (old.task, old.generated, old.prompt_processed) == (93, 1652, None)


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        (Props, b"null", "got `null`"),
        (Props, b"[]", "got `array`"),
        (Props, b"\xff\xfe", "malformed"),
        (Props, b'{"total_slots":"4"}', "$.total_slots"),
        (Props, b'{"total_slots":1000000000}', "$.total_slots"),
        (Props, b'{"model_path":5}', "$.model_path"),
        (Props, b'{"default_generation_settings":{"n_ctx":1e308}}', "n_ctx"),
        (ModelsAnswer, b"{}", "data"),
        (ModelsAnswer, b'{"data":[{"id":5}]}', "$.data[0].id"),
        (ModelsAnswer, b'{"data":[{"id":"x","meta":{"size":"abc"}}]}', "$.data[0].meta.size"),
        (ModelsAnswer, b'{"data":[{"id":"x","meta":{"size":[1,2]}}]}', "meta.size"),
        (ModelsAnswer, b'{"data":[{"id":"x","meta":{"n_params":"1\\nevil_metric 42"}}]}', "n_params"),
        (ModelsAnswer, b'{"data":[{"id":"x","status":{"value":"unloaded","exit_code":"x"}}]}', "exit_code"),
        (ModelsAnswer, b'{"data":[{"id":"' + b"x" * 1000 + b'"}]}', "id"),
        (SlotsAnswer, b'[{"id":0,"is_processing":true,"id_task":1,"next_token":"x"}]', "next_token"),
        (SlotsAnswer, b'[{"id":0,"is_processing":true,"id_task":1,"next_token":[3]}]', "next_token"),
        (SlotsAnswer, b'[{"id":0,"next_token":[{"n_decoded":1e308}]}]', "n_decoded"),
        (SlotsAnswer, b'[{"id":0,"next_token":{"n_decoded":-1}}]', "n_decoded"),
        (SlotsAnswer, b"[" * 100_000, ""),
    ],
)
def test_what_does_not_fit_is_an_error_that_names_it(kind: type[object], body: bytes, field: str) -> None:
    with pytest.raises(UpstreamError, match="GET /x answered something unexpected") as error:
        decode("GET /x", body, kind)
    assert field in str(error.value)
    assert len(str(error.value)) < 500


Serve = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    runners: list[web.AppRunner] = []

    async def begin(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> str:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", handler)
        runners.append(web.AppRunner(application, shutdown_timeout=0.1))
        await runners[-1].setup()
        await web.TCPSite(runners[-1], "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runners[-1].addresses[0][1]}"

    yield begin
    for runner in runners:
        await runner.cleanup()


async def endless(request: web.Request) -> web.StreamResponse:
    """Megabytes without end; an error for what is posted, events without a newline."""
    response = web.StreamResponse(status=500 if request.method == "POST" else 200)
    await response.prepare(request)
    while True:
        await response.write(b"data: " + b"x" * 65536)


async def test_no_answer_is_read_without_a_limit(serve: Serve) -> None:
    async with LlamaClient(await serve(endless), timeout=60) as client:
        with pytest.raises(UpstreamError, match=f"GET /props answered more than {MAX_JSON} bytes"):
            await client.props()
        with pytest.raises(UpstreamError, match="POST /models/load answered 500: data: xxx") as error:
            await client.post("/models/load", {"model": "x"})
        assert len(str(error.value)) < 500
        events = client.events("/models/sse")
        assert await anext(events) is None
        with pytest.raises(UpstreamError, match="GET /models/sse failed"):
            await anext(events)


async def test_what_went_wrong_is_named(serve: Serve) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/slots":
            return web.Response(status=501)
        return web.json_response({"error": {"message": "model is not found"}}, status=404)

    async with LlamaClient(await serve(answer), timeout=60) as client:
        with pytest.raises(
            UpstreamError, match=r"GET /slots answered 501 \(not enabled: start llama-server with --slots\)"
        ):
            await client.slots()
        with pytest.raises(UpstreamError, match="POST /models/load answered 404: model is not found"):
            await client.post("/models/load", {"model": "x"})
        assert await client.health() is Health.ERROR
        await client.close()
        with pytest.raises(UpstreamError, match="GET /props failed"):
            await client.props()


async def test_a_new_patience_counts_for_all_clients_of_a_server() -> None:
    silent = asyncio.Event()

    async def never(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silent.wait()
        writer.close()

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with LlamaClient("http://127.0.0.1:1", timeout=60) as client, client.beside(url) as child:
        client.patience.seconds = 0.05
        begun = time.monotonic()
        with pytest.raises(UpstreamError, match="GET /metrics was not answered in time"):
            await child.metrics()
        assert await child.health() is Health.NO_ANSWER
        assert time.monotonic() - begun < 10
    silent.set()
    server.close()
    await server.wait_closed()
