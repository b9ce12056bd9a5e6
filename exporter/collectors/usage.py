"""Token totals and rates of the models."""

import asyncio
import time

from exporter.catalog import usage as catalog
from exporter.catalog.metric import Family
from exporter.collectors.collector import NoData
from exporter.llama.models import Models

MAX_AGE = 0.25
"""Seconds that a look at the running requests may be old when a scrape shows it."""


class UsageCollector:
    """Totals outlive the server and the unloading of a model. The rate is there only while the model runs."""

    name = "usage"
    metrics = (
        catalog.PROMPT_TOKENS,
        catalog.CACHED_TOKENS,
        catalog.GENERATION_TOKENS,
        catalog.DRAFT_TOKENS,
        catalog.DRAFT_ACCEPTED,
        catalog.TOKENS_PER_SECOND,
    )
    totals = metrics[:5]

    def __init__(self, models: Models) -> None:
        self._models = models

    async def collect(self) -> list[Family]:
        """The totals now."""
        running = list(self._models.instances.values())
        await asyncio.gather(*(instance.look(MAX_AGE) for instance in running))
        accounts = self._models.ledger.accounts
        if not accounts:
            raise NoData
        totals = {model: account.usage.totals for model, account in accounts.items()}
        families = [
            metric.family(((model,), tokens[part]) for model, tokens in totals.items())
            for part, metric in enumerate(self.totals)
        ]
        now = time.monotonic()
        rates: dict[tuple[str, str], float] = {}
        for instance in running:
            prompt, generated = instance.account.rate.per_second(now)
            rates |= {(instance.model, "prompt"): prompt, (instance.model, "generation"): generated}
        return [*families, catalog.TOKENS_PER_SECOND.family(rates)]
