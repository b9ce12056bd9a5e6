"""Tokens and requests of the models: totals, rates, outcomes and histograms."""

import asyncio
import time

from exporter.llama.instance import Instance
from exporter.llama.models import Models
from exporter.metrics.collectors.collector import NoData, Partial, gather
from exporter.metrics.definitions import usage as catalog
from exporter.metrics.families import Family, Metric, Sample
from exporter.usage.from_log import LoggedUsage
from exporter.usage.histograms import Histogram
from exporter.usage.store import Account

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

    async def collect(self, _deadline: float) -> list[Family]:
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


class RequestsCollector:
    """Outcomes and histograms outlive the server; what runs and waits is there while it is."""

    name = "requests"
    metrics = (
        catalog.REQUESTS,
        catalog.REQUESTS_RUNNING,
        catalog.REQUESTS_WAITING,
        catalog.FIRST_TOKEN,
        catalog.PER_TOKEN,
        catalog.DURATION,
        catalog.REQUEST_PROMPT_TOKENS,
        catalog.REQUEST_GENERATION_TOKENS,
    )

    def __init__(self, models: Models) -> None:
        self._models = models

    async def collect(self, deadline: float) -> list[Family]:
        """What is and what was."""
        accounts = self._models.ledger.accounts
        if not accounts:
            raise NoData
        ended = [family for account in accounts.values() for family in self._ended(account)]
        present, errors = await gather(self._models.instances, self._present, deadline)
        families = [*ended, *(family for found in present.values() for family in found)]
        if errors:
            raise Partial(families, errors)
        return families

    @staticmethod
    def _ended(account: Account) -> list[Family]:
        model, ended = account.model, account.outcomes
        if not isinstance(account.usage, LoggedUsage) and not ended.any:
            return []  # no log tells of any
        return [
            catalog.REQUESTS.family(((model, outcome), count) for outcome, count in ended.counts.items()),
            _family(catalog.FIRST_TOKEN, model, ended.first_token),
            _family(catalog.PER_TOKEN, model, ended.per_token),
            _family(catalog.DURATION, model, ended.duration),
            _family(catalog.REQUEST_PROMPT_TOKENS, model, ended.prompt_tokens),
            _family(catalog.REQUEST_GENERATION_TOKENS, model, ended.generation_tokens),
        ]

    @staticmethod
    async def _present(instance: Instance) -> list[Family]:
        page = (await instance.native()).page
        return [
            catalog.REQUESTS_RUNNING.one(instance.running, instance.model),
            catalog.REQUESTS_WAITING.one(page.value("llamacpp:requests_deferred"), instance.model),
        ]


def _family(metric: Metric, model: str, histogram: Histogram) -> Family:
    label = ("model", model)
    buckets = histogram.cumulative()
    samples = [
        Sample("_bucket", (label, ("le", repr(bound).replace("inf", "+Inf"))), count) for bound, count in buckets
    ]
    samples += [Sample("_sum", (label,), histogram.sum), Sample("_count", (label,), buckets[-1][1])]
    return Family(metric.name, metric.kind, metric.help, samples)
