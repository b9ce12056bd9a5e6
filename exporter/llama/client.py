"""llama-server's HTTP interface, as far as it is safe to ask: nothing here loads or wakes a model but `slots`."""

from collections.abc import AsyncIterator, Callable, Mapping
from enum import Enum
from http import HTTPStatus
from typing import Any, Self

import aiohttp
import msgspec

MAX_ANSWER = 32 * 1024 * 1024
"""Bytes of an answer that are read at most. A real page of 100,000 samples is below 10 MB."""


class Health(Enum):
    """What `GET /health` told."""

    OK = "ok"
    LOADING = "loading"
    """503: the model is being loaded."""
    ERROR = "error"
    """It answered something else."""
    NO_ANSWER = "no answer"
    """Refused, reset, or silent for longer than the timeout."""


class UpstreamError(Exception):
    """llama-server did not give a usable answer; the message says to what, and what it gave instead."""


class NoEventsError(UpstreamError):
    """The build has no such stream of events."""


class Patience:
    """Seconds that an answer may take, shared by clients so that it changes for all of them."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    @property
    def total(self) -> aiohttp.ClientTimeout:
        """The whole answer within that time."""
        return aiohttp.ClientTimeout(total=self.seconds)


class LlamaClient:
    """One server at `base_url` (http://host:port). `api_key` is sent as a bearer token and never shown.

    `query` is added to every path but `/health`: it names the model where a router passes questions on. `asking` hears
    of every path that is asked for.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float | Patience,
        api_key: str | None = None,
        query: Mapping[str, str] | None = None,
        asking: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.patience = timeout if isinstance(timeout, Patience) else Patience(timeout)
        self._api_key = api_key
        self._query = query
        self._asking = asking
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._session = aiohttp.ClientSession(
            headers=headers,
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

    def beside(self, base_url: str | None = None, query: Mapping[str, str] | None = None) -> "LlamaClient":
        """A client of another server with the same key and patience, or of this one with another `query`."""
        return LlamaClient(
            base_url or self.base_url,
            timeout=self.patience,
            api_key=self._api_key,
            query=query,
            asking=self._asking,
        )

    async def health(self) -> Health:
        """Ask `/health`, which is public even with an API key."""
        self._asking("/health")
        try:
            async with self._session.get(
                f"{self.base_url}/health", timeout=self.patience.total, allow_redirects=False
            ) as response:
                if response.status == HTTPStatus.OK:
                    return Health.OK
                if response.status == HTTPStatus.SERVICE_UNAVAILABLE:
                    return Health.LOADING
                return Health.ERROR
        except (aiohttp.ClientError, TimeoutError, OSError):
            return Health.NO_ANSWER

    async def get(self, path: str) -> bytes:
        """The body of a 200 answer. Raise `UpstreamError` for everything else, an endless answer included."""
        if self._session.closed:
            raise UpstreamError(f"GET {path}: {self.base_url} is not asked any more")
        self._asking(path)
        try:
            async with self._session.get(
                f"{self.base_url}{path}", params=self._query, timeout=self.patience.total, allow_redirects=False
            ) as response:
                if response.status != HTTPStatus.OK:
                    raise UpstreamError(
                        f"GET {path} answered {response.status} {_hint(path, response.status)}".rstrip()
                    )
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > MAX_ANSWER:
                        raise UpstreamError(f"GET {path} answered more than {MAX_ANSWER} bytes")
                return bytes(body)
        except TimeoutError:
            raise UpstreamError(f"GET {path} was not answered in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError(f"GET {path} failed: {error}") from None

    async def post(self, path: str, body: Mapping[str, str]) -> None:
        """Send an order. Raise `UpstreamError` with the server's own words when it is not taken."""
        self._asking(path)
        try:
            async with self._session.post(
                f"{self.base_url}{path}", json=body, timeout=self.patience.total, allow_redirects=False
            ) as response:
                if response.status != HTTPStatus.OK:
                    raise UpstreamError(f"POST {path} answered {response.status}: {_words(await response.read())}")
        except TimeoutError:
            raise UpstreamError(f"POST {path} was not answered in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError(f"POST {path} failed: {error}") from None

    async def events(self, path: str) -> AsyncIterator[Any]:
        """None when the stream begins, then the data of server-sent events, decoded; what is no JSON is passed over.

        Raise `NoEventsError` when there is no such stream, `UpstreamError` when the connection breaks.
        """
        patience = aiohttp.ClientTimeout(total=None, connect=self.patience.seconds)
        try:
            async with self._session.get(f"{self.base_url}{path}", timeout=patience, allow_redirects=False) as response:
                if response.status != HTTPStatus.OK:
                    raise NoEventsError(f"GET {path} answered {response.status}")
                yield None
                async for line in response.content:
                    if line.startswith(b"data:"):
                        try:
                            yield msgspec.json.decode(line[5:])
                        except msgspec.DecodeError:
                            continue
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise UpstreamError(f"GET {path} broke off: {error}") from None

    async def get_json(self, path: str) -> Any:
        """As `get`, decoded. Raise `UpstreamError` when it is not JSON."""
        body = await self.get(path)
        try:
            return msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            raise UpstreamError(f"GET {path} answered no valid JSON: {error}") from None


def _words(body: bytes) -> str:
    """The message of an error that llama-server answered."""
    try:
        return str(msgspec.json.decode(body)["error"]["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")


def _hint(path: str, status: int) -> str:
    """What an answer means, where llama-server's own words don't say it."""
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
