"""llama-server's own page, requested when a scrape or a look needs it and shared by those that come meanwhile."""

import asyncio
import math
import re
import time
from collections.abc import Callable
from typing import NamedTuple

from exporter.llama import native
from exporter.llama.api import UpstreamError
from exporter.llama.client import LlamaClient
from exporter.llama.native import NativePage
from exporter.tasks import Border

LARGE = 256 * 1024
"""Bytes of a page above which it is read beside the event loop: a second for ten million of them."""
CACHED = "llamacpp:prompt_tokens_cached_total"
COUNTERS = (
    "llamacpp:prompt_tokens_total",
    CACHED,
    "llamacpp:tokens_predicted_total",
    "llamacpp:spec_decode_num_draft_tokens_total",
    "llamacpp:spec_decode_num_accepted_tokens_total",
)
"""In the order of `Tokens`. They move when a request ends, in builds of late 2026 prompt tokens batch by batch."""
BUILD = re.compile(r"b([0-9]{1,9})(?:-|$)")
HARMLESS_BUILD = 11434
"""A build whose `/metrics` is known to leave a sleeping model asleep."""


class NativeAnswer(NamedTuple):
    """A page, the process that gave it where it says so, and the monotonic time before it was requested."""

    page: NativePage
    process: str | None
    asked_at: float

    @property
    def counters(self) -> tuple[float | None, ...]:
        """Return the token counters in the order of `Tokens`, None for what the build lacks."""
        return tuple(self.page.value(name) for name in COUNTERS)

    @property
    def harmless(self) -> bool:
        """Return whether the build answers this page without waking the model or keeping it awake.

        That came in late August 2026 (llama.cpp #27376), with batch-by-batch counts of prompt tokens; builds report no
        usable number, but the count of cached prompt tokens is as young.
        """
        return self.page.value(CACHED) is not None


class AsleepError(UpstreamError):
    """The server has been asleep since it was first met, and reading its page might wake it."""


class SharedPage:
    """The page of the server at `client`, requested again when the last request is `share_within` seconds old."""

    def __init__(self, client: LlamaClient, share_within: Callable[[], float], border: Border) -> None:
        self._client = client
        self._share_within = share_within
        self._border = border
        self._fetching: asyncio.Task[NativeAnswer | UpstreamError] | None = None
        self.fetched_at = float("-inf")
        """Monotonic time of the last request."""
        self.last: NativeAnswer | None = None
        """The last good answer, however old."""

    async def fetch(self, deadline: float) -> NativeAnswer:
        """Return a page at most `share_within` old. Raise `UpstreamError` when there is none by `deadline`."""
        now = time.monotonic()
        if self._fetching is None or (self._fetching.done() and now - self.fetched_at >= self._share_within()):
            self._fetching = asyncio.create_task(self._fetch())
            self.fetched_at = now
        # Not awaited itself: that one scraper hangs up must not cost the other its answer.
        timeout = None if math.isinf(deadline) else max(0.0, deadline - now)
        done, _ = await asyncio.wait({self._fetching}, timeout=timeout)
        answer = self._fetching.result() if done else UpstreamError("GET /metrics was not answered in time")
        if isinstance(answer, UpstreamError):
            raise answer
        return answer

    async def _fetch(self) -> NativeAnswer | UpstreamError:
        """Return the page or why there is none; never raise, since maybe nobody waits any more."""
        asked_at = time.monotonic()
        try:
            body, process = await self._client.metrics()
            page = await asyncio.to_thread(native.read, body) if len(body) > LARGE else native.read(body)
        except UpstreamError as error:
            return error
        except Exception as error:  # noqa: BLE001 -- the border of a task whose result may be read by nobody
            self._border.failed("metrics of llama-server", error)
            return UpstreamError(f"GET /metrics: {error!r}")
        self.last = NativeAnswer(page, process, asked_at)
        return self.last


def known_harmless(build: str) -> bool:
    """Return whether `/metrics` of a build like `b11434-8f4e2c1` is known to leave a sleeping model asleep."""
    found = BUILD.match(build)
    return found is not None and int(found[1]) >= HARMLESS_BUILD
