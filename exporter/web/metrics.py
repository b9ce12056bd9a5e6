"""`GET /metrics`."""

import asyncio
import gzip
import math

from aiohttp import web

from exporter.metrics.exposition import negotiate, render
from exporter.metrics.families import Family
from exporter.metrics.scrape import Scraper, families_of

TIMEOUT_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
OFFSET = 0.5
"""Seconds before Prometheus' own timeout at which the page must be on its way."""
GZIP_LEVEL = 1
"""A page shrinks to a seventh at the lowest level; higher ones cost more time than the network saves."""
LARGE = 10_000
"""Samples of a page above which it is written beside the event loop: ten thousand take 20 ms."""


class MetricsHandler:
    """Answers a scrape. `timeout` is the deadline in seconds for scrapers that name none of their own."""

    def __init__(self, scraper: Scraper, timeout: float) -> None:
        self._scraper = scraper
        self.timeout = timeout

    async def get(self, request: web.Request) -> web.Response:
        """Return the page, in the format and encoding that the scraper accepts; `collect[]` picks collectors."""
        only = frozenset(request.query.getall("collect[]", []))
        if unknown := sorted(only - set(self._scraper.names)):
            raise web.HTTPBadRequest(
                text=f"unknown collector {', '.join(unknown)}; known are: {', '.join(self._scraper.names)}\n"
            )
        outcomes = await self._scraper.scrape(self._seconds(request), only)
        if request.query.get("debug") == "true":
            lines = [
                f"{outcome.collector:<12} {outcome.seconds * 1e3:8.2f} ms  "
                f"{sum(family.size for family in outcome.families):6} samples  {outcome.error or 'ok'}"
                for outcome in outcomes
            ]
            return web.Response(text="\n".join(lines) + "\n")
        families = families_of(outcomes)
        content_type = negotiate(request.headers.get("Accept", ""))
        headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
        if compressed := "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
        if sum(family.size for family in families) > LARGE:
            body = await asyncio.to_thread(page_body, families, content_type, compressed=compressed)
        else:
            body = page_body(families, content_type, compressed=compressed)
        return web.Response(body=body, headers=headers)

    def _seconds(self, request: web.Request) -> float:
        """Return what the collectors have: what Prometheus allows less an offset, our own setting otherwise."""
        try:
            allowed = float(request.headers.get(TIMEOUT_HEADER, ""))
        except ValueError:
            return self.timeout
        if not math.isfinite(allowed) or allowed <= 0:
            return self.timeout
        return min(self.timeout, max(allowed - OFFSET, allowed / 2))


def page_body(families: list[Family], content_type: str, *, compressed: bool) -> bytes:
    """Return the families as a page."""
    page = render(families, content_type)
    return gzip.compress(page, GZIP_LEVEL, mtime=0) if compressed else page
