"""Tokens and requests of the models: totals, rates, outcomes and histograms."""

from exporter.llama.processes import Processes
from exporter.metrics.collectors.collector import NoData
from exporter.metrics.collectors.native import native_pages
from exporter.metrics.definitions import usage as definitions
from exporter.metrics.families import Family, Metric, Sample
from exporter.usage.from_log import FromLog
from exporter.usage.histograms import Histogram
from exporter.usage.store import ModelUsage, UsageStore


class UsageCollector:
    """Totals outlive the server and the unloading of a model. The rate is there only while the model runs."""

    name = "usage"
    metrics = (
        definitions.PROMPT_TOKENS,
        definitions.CACHED_TOKENS,
        definitions.GENERATION_TOKENS,
        definitions.DRAFT_TOKENS,
        definitions.DRAFT_ACCEPTED,
        definitions.TOKENS_PER_SECOND,
    )
    totals = metrics[:5]

    def __init__(self, usage: UsageStore, processes: Processes) -> None:
        self._usage = usage
        self._processes = processes

    async def collect(self, _: float) -> list[Family]:
        """Return the totals as they were looked at last, at most half a second ago."""
        if not self._usage.models:
            raise NoData
        totals = {model: usage.tokens.totals for model, usage in self._usage.models.items()}
        families = [
            metric.family(((model,), tokens[part]) for model, tokens in totals.items())
            for part, metric in enumerate(self.totals)
        ]
        rates: dict[tuple[str, str], float] = {}
        for model, process in self._processes.by_model.items():
            rates[model, "prompt"] = process.usage.prompt_rate.per_second()
            rates[model, "generation"] = process.usage.generation_rate.per_second()
        return [*families, definitions.TOKENS_PER_SECOND.family(rates)]


class RequestsCollector:
    """Outcomes and histograms outlive the server; what runs and waits is there while it is."""

    name = "requests"
    metrics = (
        definitions.REQUESTS,
        definitions.REQUESTS_RUNNING,
        definitions.REQUESTS_WAITING,
        definitions.FIRST_TOKEN,
        definitions.PER_TOKEN,
        definitions.DURATION,
        definitions.REQUEST_PROMPT_TOKENS,
        definitions.REQUEST_GENERATION_TOKENS,
    )

    def __init__(self, usage: UsageStore, processes: Processes) -> None:
        self._usage = usage
        self._processes = processes

    async def collect(self, deadline: float) -> list[Family]:
        """Return what is and what was. How many wait is on llama-server's own page, which may be late."""
        if not self._usage.models:
            raise NoData
        families = [family for usage in self._usage.models.values() for family in _ended(usage)]
        running = self._processes.by_model
        families.append(definitions.REQUESTS_RUNNING.family(((model,), p.running) for model, p in running.items()))
        pages, _ = await native_pages(self._processes.by_model, deadline)  # the native collector says what is missing
        waiting = {(model,): page.value("llamacpp:requests_deferred") for model, page in pages.items()}
        families.append(
            definitions.REQUESTS_WAITING.family({labels: n for labels, n in waiting.items() if n is not None})
        )
        return families


def _ended(usage: ModelUsage) -> list[Family]:
    model, ended = usage.model, usage.outcomes
    if not isinstance(usage.tokens, FromLog) and not ended.any:
        return []  # no log reports any
    return [
        definitions.REQUESTS.family(((model, outcome), count) for outcome, count in ended.counts.items()),
        _family(definitions.FIRST_TOKEN, model, ended.first_token),
        _family(definitions.PER_TOKEN, model, ended.per_token),
        _family(definitions.DURATION, model, ended.duration),
        _family(definitions.REQUEST_PROMPT_TOKENS, model, ended.prompt_tokens),
        _family(definitions.REQUEST_GENERATION_TOKENS, model, ended.generation_tokens),
    ]


def _family(metric: Metric, model: str, histogram: Histogram) -> Family:
    label = ("model", model)
    buckets = histogram.cumulative()
    samples = [
        Sample("_bucket", (label, ("le", repr(bound).replace("inf", "+Inf"))), count) for bound, count in buckets
    ]
    samples += [Sample("_sum", (label,), histogram.sum), Sample("_count", (label,), buckets[-1][1])]
    return Family(metric.name, metric.kind, metric.help, samples)
