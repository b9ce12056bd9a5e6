"""Token totals and rates of the model."""

import time
from collections.abc import Callable

from exporter.catalog import usage as catalog
from exporter.catalog.metric import Family
from exporter.collectors.collector import NoData
from exporter.llama.sampler import Sampler
from exporter.llama.server import LlamaServer

MAX_AGE = 0.25
"""Seconds that a look at the running requests may be old when a scrape shows it."""


class UsageCollector:
    """Totals outlive the server: they stay when it stops. The rate is there only while the model runs."""

    name = "usage"
    metrics = (catalog.PROMPT_TOKENS, catalog.CACHED_TOKENS, catalog.GENERATION_TOKENS, catalog.TOKENS_PER_SECOND)

    def __init__(self, sampler: Sampler, server: LlamaServer, ready: Callable[[], bool]) -> None:
        self._sampler = sampler
        self._server = server
        self._ready = ready
        self._model: str | None = None

    async def collect(self) -> list[Family]:
        """The totals now."""
        live = self._ready()
        if live and (facts := await self._server.who()).mode != "router":
            self._model = facts.model
        model = self._model
        if model is None:
            raise NoData
        if live:
            await self._sampler.look(MAX_AGE)
        totals = self._sampler.usage.totals
        families = [
            catalog.PROMPT_TOKENS.one(totals.prompt, model),
            catalog.CACHED_TOKENS.one(totals.cached, model),
            catalog.GENERATION_TOKENS.one(totals.generated, model),
        ]
        if live:
            prompt, generated = self._sampler.rate.per_second(time.monotonic())
            rates = {(model, "prompt"): prompt, (model, "generation"): generated}
            families.append(catalog.TOKENS_PER_SECOND.family(rates))
        return families
