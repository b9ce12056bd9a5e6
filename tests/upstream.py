"""A llama-server inside the test: answers of real builds, requests that the test makes up, odd answers by path.

It writes no log, so it stands for a server that an exporter is attached to.
"""

import asyncio
import itertools
import json
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Self

from aiohttp import web

from tests.support import FIXTURES

Build = Literal["old", "mid", "new"]
PROMPT, GENERATED = "prompt_tokens_total", "tokens_predicted_total"
NOT_FOUND = b'{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}'


@dataclass(frozen=True)
class Answer:
    """An HTTP answer of `body`, `times` over, that does not end if it `stays`; a `raw` body brings its own head."""

    body: bytes = b""
    status: int = 200
    content_type: str = "application/json"
    times: int = 1
    stays: bool = False
    raw: bool = False

    def __repr__(self) -> str:
        body = self.body if len(self.body) < 500 else self.body[:200] + b" ... " + self.body[-200:]
        return f"Answer({body!r}, {self.status}, {self.content_type!r}, {self.times=}, {self.stays=}, {self.raw=})"


CLOSED = Answer(raw=True)  # the connection ends without an answer


def fixture(build: Build, name: str) -> Any:
    """A captured answer, decoded where it is JSON."""
    text = (FIXTURES / build / name).read_text("utf-8")
    return json.loads(text) if name.endswith(".json") else text


@dataclass
class Request:
    """A request that a slot works on. `made` are the tokens generated so far."""

    task: int
    prompt: int
    made: int = 0


class Upstream:
    """A server of a build, which listens inside its context. With `children` by model it is a router.

    A test may change every public attribute. `odd` are answers by method and path ("GET /props") in place of real ones,
    that for "*" in place of all. Nothing is answered while `answering` is not set. `other` is a second process behind
    the same address, which answers every second question. A router lets its children answer what has `?model=`.
    """

    def __init__(
        self, build: Build = "new", *, host: str = "127.0.0.1", children: "dict[str, Upstream] | None" = None
    ) -> None:
        self.build: Build = build
        self.host = host
        self.port = 0
        self.children = children or {}
        self.props: dict[str, Any] = fixture(build, "router-props.json" if children else "props.json")
        self.models: dict[str, Any] = fixture(build, "router-models-loaded.json" if children else "v1-models.json")
        for model in self.models["data"] if children else ():
            if child := self.children.get(model["id"]):
                model["status"]["args"] = ["--port", str(child.port)]
                child.models["data"][0]["id"] = model["id"]
        self.started = 1_000_000  # Process-Start-Time-Unix
        self.counters = {PROMPT: 0, GENERATED: 0}
        self.made = {PROMPT: 0, GENERATED: 0}  # by all requests of the test, running or not, in whatever process
        self.requests: dict[int, Request] = {}
        self.odd: dict[str, Answer] = {}
        self.answering = asyncio.Event()
        self.answering.set()
        self.other: Upstream | None = None
        self.asked = Counter[str]()  # questions by method and path
        self.answered = Counter[str]()  # those of them that are over
        self.keys: list[tuple[str, str]] = []  # path and content of every Authorization header
        self._tasks = itertools.count(100)

    async def __aenter__(self) -> Self:
        return await self.listen()

    async def __aexit__(self, *_: object) -> None:
        await self.hang_up()

    async def listen(self) -> Self:
        """Listen, on the same port as before if there was one."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, shutdown_timeout=0.01)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://{self.host}:{self.port}"
        return self

    async def hang_up(self) -> None:
        """Close all connections; new ones are refused."""
        await self._runner.cleanup()

    def launch(self, prompt: int = 5) -> Request:
        """A slot takes a request and processes its prompt."""
        task = next(self._tasks)
        request = self.requests[task] = Request(task, prompt)
        self.counters[PROMPT] += prompt
        self.made[PROMPT] += prompt
        return request

    def generate(self, request: Request, tokens: int) -> None:
        """The slot shows them; the counters will when the request ends."""
        request.made += tokens
        self.made[GENERATED] += tokens

    def finish(self, request: Request) -> None:
        """The request completes."""
        del self.requests[request.task]
        self.counters[GENERATED] += request.made

    def complete(self, tokens: int, prompt: int = 5) -> None:
        """A whole request, before anybody can look."""
        self.generate(request := self.launch(prompt), tokens)
        self.finish(request)

    def restart(self) -> None:
        """Be another process, which started later and has done nothing."""
        self.started += 1_000_000
        self.requests.clear()
        self.counters = {PROMPT: 0, GENERATED: 0}

    def _page(self) -> str:
        page: str = fixture(self.build, "metrics-idle.txt")
        for name, value in {**self.counters, "requests_processing": len(self.requests)}.items():
            page = re.sub(rf"(?m)^(llamacpp:{name}) .*$", rf"\1 {value}", page)
        return page

    def _slots(self) -> list[dict[str, Any]]:
        slots: list[dict[str, Any]] = fixture(self.build, "slots-idle.json")
        for number, request in enumerate(self.requests.values()):
            busy = next(slot for slot in fixture(self.build, "slots-busy.json") if slot["is_processing"])
            slot = slots[number] = busy | {"id": number, "id_task": request.task}
            following = slot["next_token"]
            (following[0] if isinstance(following, list) else following)["n_decoded"] = request.made
            if "n_prompt_tokens" in slot:
                slot |= {"n_prompt_tokens": request.prompt + request.made, "n_prompt_tokens_processed": request.prompt}
        return slots

    def answer(self, path: str) -> Answer:
        """What the build answers to method and path."""
        if path == "GET /metrics" and not self.children:
            return Answer(self._page().encode(), content_type="text/plain; version=0.0.4")
        if path == "GET /models/sse" and self.children and self.build == "new":
            return Answer(content_type="text/event-stream", stays=True)
        decoded = {
            "GET /health": {"status": "ok"},
            "GET /props": self.props,
            "GET /models": self.models,
            "GET /v1/models": self.models,
            "GET /slots": None if self.children else self._slots(),
            "POST /models/load": {"success": True},
        }.get(path)
        return Answer(NOT_FOUND, 404) if decoded is None else Answer(json.dumps(decoded).encode())

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        child = self.children.get(request.query.get("model", ""))
        if child and request.path in ("/metrics", "/props", "/slots"):
            return await child._serve(request)
        path = f"{request.method} {request.path}"
        self.asked[path] += 1
        if key := request.headers.get("Authorization"):
            self.keys.append((path, key))
        await self.answering.wait()
        process = self.other if self.other and self.asked[path] % 2 else self
        answer = process.odd.get(path) or process.odd.get("*") or process.answer(path)
        start = {"Process-Start-Time-Unix": str(process.started)} if path == "GET /metrics" else {}
        response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type, **start})
        with suppress(ConnectionError):  # the exporter may have heard enough
            if answer.raw and request.transport:
                request.transport.write(answer.body)
                request.transport.close()
                answer = Answer(times=0)
            await response.prepare(request)
            for _ in range(answer.times):
                await response.write(answer.body)
            if answer.stays:
                await asyncio.Event().wait()
        self.answered[path] += 1
        return response
