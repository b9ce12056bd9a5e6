"""llama-server's HTTP interface, as far as it is safe to use: nothing here loads or wakes a model but `slots`.

Every answer is bounded in bytes and time, error bodies and events included.
"""

from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import NamedTuple

import aiohttp

from exporter.llama.api import (
    Health,
    ModelsAnswer,
    Props,
    RouterEvent,
    Slot,
    SlotsAnswer,
    UpstreamError,
    decode,
)
from exporter.llama.http import BoundedClient, error_text, read

MIB = 1024 * 1024
MAX_JSON = 8 * MIB
"""Bytes of `/props` and lists of models; a chat template is some hundred kilobytes."""
MAX_SLOTS = 16 * MIB
"""Bytes of `/slots`; builds of 2025 put the prompts in it."""
MAX_PAGE = 16 * MIB
"""Bytes of `/metrics`; a page of 100,000 samples is below 10 MB."""
MAX_ERROR = 64 * 1024
START_TIME = "Process-Start-Time-Unix"
"""A header of `/metrics`: a monotonic time, constant for a process (and no Unix time, whatever its name)."""


class NoEventsError(UpstreamError):
    """The build has no such stream of events."""


class Page(NamedTuple):
    """The body of `/metrics`, and the header that identifies the process (None where the build sends none)."""

    body: bytes
    process_start: str | None


class LlamaClient(BoundedClient):
    """A client of one llama-server. Every method raises `UpstreamError` when there is no usable answer."""

    async def health(self) -> Health:
        """Request `/health`, which is public even with an API key."""
        try:
            async with self.request("GET", "/health") as response:
                if response.status == HTTPStatus.OK:
                    return Health.OK
                return Health.LOADING if response.status == HTTPStatus.SERVICE_UNAVAILABLE else Health.ERROR
        except UpstreamError:
            return Health.NO_ANSWER

    async def props(self) -> Props:
        """Return `/props`. Neither loads nor wakes a model."""
        return decode("GET /props", await self._get("/props", MAX_JSON), Props)

    async def models(self, path: str = "/v1/models") -> ModelsAnswer:
        """Return the list of models at `path`. Neither loads nor wakes a model."""
        return decode(f"GET {path}", await self._get(path, MAX_JSON), ModelsAnswer)

    async def slots(self) -> list[Slot]:
        """Return all slots. Wakes a sleeping model: only to be used while requests run."""
        return decode("GET /slots", await self._get("/slots", MAX_SLOTS), SlotsAnswer)

    async def metrics(self) -> Page:
        """Return llama-server's own metrics. Builds before late August 2026 wake up or stay awake for it."""
        headers: dict[str, str] = {}
        return Page(await self._get("/metrics", MAX_PAGE, headers), headers.get(START_TIME))

    async def post(self, path: str, body: Mapping[str, str]) -> None:
        """Send a command. Raise `UpstreamError` with the server's own words when it is refused."""
        async with self.request("POST", path, json=body) as response:
            if response.status != HTTPStatus.OK:
                words = error_text(await read(response, f"POST {path}", MAX_ERROR, cut=True))
                raise UpstreamError(f"POST {path} answered {response.status}: {words}")

    async def events(self, path: str) -> AsyncIterator[RouterEvent | None]:
        """Yield None when the stream begins, then its events; what is no event of a model is passed over.

        Raise `NoEventsError` when there is no such stream, `UpstreamError` when the connection breaks.
        """
        endless = aiohttp.ClientTimeout(total=None, connect=self.patience.seconds)
        async with self.request("GET", path, time=endless) as response:
            if response.status != HTTPStatus.OK:
                raise NoEventsError(f"GET {path} answered {response.status}")
            yield None
            async for line in response.content:
                if line.startswith(b"data:"):
                    try:
                        event = decode(f"GET {path}", line[5:], RouterEvent)
                    except UpstreamError:
                        continue
                    yield event
        raise UpstreamError(f"GET {path} ended")

    async def _get(self, path: str, limit: int, headers: dict[str, str] | None = None) -> bytes:
        """Return the body of a 200 answer. Raise `UpstreamError` for everything else."""
        async with self.request("GET", path) as response:
            if response.status != HTTPStatus.OK:
                raise UpstreamError(f"GET {path} answered {response.status} {_hint(path, response.status)}".rstrip())
            if headers is not None:
                headers.update(response.headers)
            return await read(response, f"GET {path}", limit)


def _hint(path: str, status: int) -> str:
    """Return what an answer means, where llama-server's own words don't say it."""
    match path, status:
        case "/metrics", 501:
            return "(not enabled: start llama-server with --metrics)"
        case "/slots", 501:
            return "(not enabled: start llama-server with --slots)"
        case _, 401:
            return "(the API key is missing or wrong: see server.api_key_file)"
        case _, 503:
            return "(loading the model)"
        case _:
            return ""
