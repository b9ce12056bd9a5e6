"""Bounded HTTP requests: every answer is limited in bytes and time, and every failure is one `UpstreamError`."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Self

import aiohttp
import msgspec
from aiohttp.http_exceptions import HttpProcessingError

from exporter.llama.api import UpstreamError


class _ErrorDetail(msgspec.Struct, frozen=True):
    message: str = ""


class ErrorAnswer(msgspec.Struct, frozen=True):
    """The body of an error."""

    error: _ErrorDetail


class Patience:
    """Seconds that an answer may take, shared by clients so that a reload changes it for all of them."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    @property
    def total(self) -> aiohttp.ClientTimeout:
        """Return a limit for the whole answer."""
        return aiohttp.ClientTimeout(total=self.seconds)


class BoundedClient:
    """A client of one server at `base_url` (http://host:port).

    `api_key` is sent as a bearer token and never shown. `query` is added to every path: it names the model where a
    router passes requests on. `on_request` hears of every path that is requested.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float | Patience,
        api_key: str | None = None,
        query: Mapping[str, str] | None = None,
        on_request: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.patience = timeout if isinstance(timeout, Patience) else Patience(timeout)
        self._api_key = api_key
        self._query = query
        self._on_request = on_request
        headers = {"Accept-Encoding": "identity"}  # a limit in bytes means nothing for a body that inflates
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self._session = aiohttp.ClientSession(
            headers=headers,
            auto_decompress=False,
            # llama-server has a few HTTP threads: two kept-open connections are our share, and one for events.
            connector=aiohttp.TCPConnector(limit=3, keepalive_timeout=30),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    def beside(
        self, base_url: str | None = None, query: Mapping[str, str] | None = None, *, with_key: bool = True
    ) -> Self:
        """Return a client of another server with the same patience, or of this one with another `query`."""
        return type(self)(
            base_url or self.base_url,
            timeout=self.patience,
            api_key=self._api_key if with_key else None,
            query=query,
            on_request=self._on_request,
        )

    @asynccontextmanager
    async def request(
        self, method: str, path: str, *, time: aiohttp.ClientTimeout | None = None, json: object = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield the response. Raise `UpstreamError` for whatever goes wrong on the way, also inside the block."""
        self._on_request(path)
        try:
            async with self._session.request(
                method,
                f"{self.base_url}{path}",
                params=self._query,
                json=json,
                timeout=time or self.patience.total,
                allow_redirects=False,
            ) as response:
                yield response
        except TimeoutError:
            raise UpstreamError(f"{method} {path} was not answered in time") from None
        except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError, RuntimeError) as error:
            # HttpProcessingError: a line of events that is too long. RuntimeError: the session is closed.
            raise UpstreamError(f"{method} {path} failed: {error}") from None


async def read(response: aiohttp.ClientResponse, endpoint: str, limit: int, *, cut: bool = False) -> bytes:
    """Return the body, or with `cut` its beginning. Raise `UpstreamError` when it has more than `limit` bytes."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            if cut:
                response.close()
                return bytes(body[:limit])
            raise UpstreamError(f"{endpoint} answered more than {limit} bytes")
    return bytes(body)


def error_text(body: bytes) -> str:
    """Return llama-server's own words in an error body, at most 500 characters."""
    try:
        return msgspec.json.decode(body, type=ErrorAnswer).error.message[:500]
    except (msgspec.DecodeError, RecursionError):
        return body[:200].decode("utf-8", "replace")
