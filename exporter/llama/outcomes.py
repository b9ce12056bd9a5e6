"""How requests ended and how long they took, counted since the exporter started."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import get_args

from exporter.llama import histogram
from exporter.llama.histogram import Histogram
from exporter.logs.requests import Finished, Outcome


class Outcomes:
    """Counts and histograms of the ended requests of one model.

    `buckets` are bounds by the metric's name, where they are not the usual ones.
    """

    def __init__(self, buckets: Mapping[str, Sequence[float]] = MappingProxyType({})) -> None:
        bounds = {**histogram.BUCKETS, **buckets}
        self.counts: dict[str, int] = dict.fromkeys(get_args(Outcome), 0)
        self.first_token = Histogram(bounds["llama_time_to_first_token_seconds"])
        self.per_token = Histogram(bounds["llama_time_per_output_token_seconds"])
        self.duration = Histogram(bounds["llama_request_duration_seconds"])
        self.prompt_tokens = Histogram(bounds["llama_request_prompt_tokens"])
        self.generation_tokens = Histogram(bounds["llama_request_generation_tokens"])

    @property
    def any(self) -> bool:
        """True when a request has ended."""
        return any(self.counts.values())

    def take(self, request: Finished) -> None:
        """Count one. Times and sizes only where the log tells them: a cancelled request has an outcome and no more."""
        self.counts[request.outcome] += 1
        if request.prompt_tokens is None or request.generation_tokens is None:
            return
        self.prompt_tokens.observe(request.prompt_tokens + (request.cached_tokens or 0))
        self.generation_tokens.observe(request.generation_tokens)
        if request.prompt_seconds is None or request.generation_seconds is None:
            return
        self.duration.observe(request.prompt_seconds + request.generation_seconds)
        if request.generation_tokens:
            self.first_token.observe(request.prompt_seconds)
            self.per_token.observe(request.generation_seconds / request.generation_tokens)
