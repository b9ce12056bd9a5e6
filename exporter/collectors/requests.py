"""Requests of the model: running and waiting ones, how they ended, how long they took."""

from collections.abc import Callable

from exporter.catalog import usage as catalog
from exporter.catalog.metric import Family, Metric, Sample
from exporter.collectors.collector import NoData
from exporter.llama.histogram import Histogram
from exporter.llama.outcomes import Outcomes
from exporter.llama.sampler import Sampler
from exporter.llama.server import LlamaServer


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

    def __init__(
        self, outcomes: Outcomes | None, sampler: Sampler, server: LlamaServer, ready: Callable[[], bool]
    ) -> None:
        self._outcomes = outcomes
        self._sampler = sampler
        self._server = server
        self._ready = ready
        self._model: str | None = None

    async def collect(self) -> list[Family]:
        """What is and what was."""
        live = self._ready()
        if live and (facts := await self._server.who()).mode != "router":
            self._model = facts.model
        if self._model is None:
            raise NoData
        return [*self._ended(self._model), *(await self._present(self._model) if live else [])]

    def _ended(self, model: str) -> list[Family]:
        ended = self._outcomes
        if ended is None:
            return []
        return [
            catalog.REQUESTS.family(((model, outcome), count) for outcome, count in ended.counts.items()),
            _family(catalog.FIRST_TOKEN, model, ended.first_token),
            _family(catalog.PER_TOKEN, model, ended.per_token),
            _family(catalog.DURATION, model, ended.duration),
            _family(catalog.REQUEST_PROMPT_TOKENS, model, ended.prompt_tokens),
            _family(catalog.REQUEST_GENERATION_TOKENS, model, ended.generation_tokens),
        ]

    async def _present(self, model: str) -> list[Family]:
        page = await self._server.native()
        return [
            catalog.REQUESTS_RUNNING.one(self._sampler.running, model),
            catalog.REQUESTS_WAITING.one(page.value("llamacpp:requests_deferred"), model),
        ]


def _family(metric: Metric, model: str, histogram: Histogram) -> Family:
    label = ("model", model)
    buckets = histogram.cumulative()
    samples = [
        Sample("_bucket", (label, ("le", repr(bound).replace("inf", "+Inf"))), count) for bound, count in buckets
    ]
    samples += [Sample("_sum", (label,), histogram.sum), Sample("_count", (label,), buckets[-1][1])]
    return Family(metric.name, metric.kind, metric.help, samples)
