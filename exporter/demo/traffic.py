"""Requests of every kind that the exporter counts: short, chat, long, several at once, cancelled by the client."""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
from loguru import logger

SEED = 7
HEALTH_RETRY = 0.2  # seconds between two looks at a server that is not there
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=60)
CHUNKS_BEFORE_CANCEL = 4

WORDS = (
    "the rain",
    "in a",
    "small town",
    "on the hill",
    "is heard",
    "at night",
    "and no one",
    "there",
    "wants to sleep",
)

Json = dict[str, Any]


@dataclass(slots=True)
class Tally:
    """What the server itself said, request by request: the truth that its metrics have to agree with.

    Cancelled requests are counted in `cancelled` alone: nobody tells the client what they cost.
    """

    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    cancelled: int = 0

    def add(self, timings: Mapping[str, Any]) -> None:
        """Count a finished request by the `timings` of its answer."""
        self.requests += 1
        self.prompt_tokens += timings["prompt_n"]
        self.cached_tokens += timings.get("cache_n", 0)  # builds of 2025 do not say
        self.generated_tokens += timings["predicted_n"]


async def play(base_url: str, *, rounds: int | None, pause: float, tally: Tally | None = None) -> Tally:
    """Send `rounds` rounds of requests with `pause` seconds between them, or go on until cancelled when it is None.

    A server that is not there, or goes away, is waited for; only whole rounds count. `tally` is filled while it runs.
    """
    tally = Tally() if tally is None else tally
    done = 0
    # llama-server closes a connection after some requests or seconds; one that is used at that moment would look like a
    # server that went away. So each request has its own.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=TIMEOUT, raise_for_status=True) as session:
        client = _Client(session, base_url.rstrip("/"), tally)
        while rounds is None or done < rounds:
            await client.wait_until_healthy()
            try:
                await client.round()
            except* (aiohttp.ClientError, TimeoutError) as group:
                logger.debug("demo traffic was interrupted: {}", group.exceptions)
                await asyncio.sleep(HEALTH_RETRY)
            else:
                done += 1
                if done != rounds:
                    await asyncio.sleep(pause)
    return tally


class _Client:
    """One user after the other. The prompts look random and are the same in every run."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, tally: Tally) -> None:
        self._session = session
        self._base_url = base_url
        self._tally = tally
        self._random = random.Random(SEED)  # noqa: S311 -- prompts are no secret

    async def wait_until_healthy(self) -> None:
        while True:
            try:
                async with self._session.get(f"{self._base_url}/health"):
                    return  # anything but 200 has raised
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(HEALTH_RETRY)

    async def round(self) -> None:
        await self.complete(self._random.randint(5, 40))
        await self.chat()
        await self.generate_long()
        async with asyncio.TaskGroup() as users:
            for _ in range(3):
                users.create_task(self.complete(self._random.randint(30, 120)))
        await self.cancel()

    async def complete(self, length: int) -> None:
        await self._ask("/completion", {"prompt": self._prompt(), "n_predict": length})

    async def chat(self) -> None:
        messages = [{"role": "system", "content": "You are brief."}, {"role": "user", "content": self._prompt()}]
        await self._ask("/v1/chat/completions", {"messages": messages, "max_tokens": 40})

    async def generate_long(self) -> None:
        async for chunk in self._stream(self._random.randint(250, 500)):
            if chunk.get("stop"):
                self._tally.add(chunk["timings"])

    async def cancel(self) -> None:
        chunks = 0
        async with contextlib.aclosing(self._stream(1500)) as stream:
            async for chunk in stream:
                chunks += 1
                if chunk.get("stop"):
                    self._tally.add(chunk["timings"])  # the server was faster than we are
                elif chunks == CHUNKS_BEFORE_CANCEL:
                    self._tally.cancelled += 1
                    return

    async def _ask(self, path: str, body: Json) -> None:
        async with self._session.post(self._base_url + path, json=body) as response:
            self._tally.add((await response.json())["timings"])

    async def _stream(self, length: int) -> AsyncGenerator[Json, None]:
        # A model of random weights ends its text whenever it likes, unless told not to.
        body = {"prompt": self._prompt(), "n_predict": length, "ignore_eos": True, "stream": True}
        async with self._session.post(f"{self._base_url}/completion", json=body) as response:
            async for line in response.content:
                if line.startswith(b"data: {"):
                    yield msgspec.json.decode(line.removeprefix(b"data: "))

    def _prompt(self) -> str:
        # Some prompts begin alike, so that the server finds a prefix in its cache.
        return "Tell me about " + " ".join(self._random.choices(WORDS, k=self._random.randint(3, 12)))
