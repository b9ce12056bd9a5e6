"""How requests ended and how long they took, counted since the exporter started."""

from typing import get_args

from exporter.llama import histogram
from exporter.llama.histogram import Histogram
from exporter.logs.requests import Finished, Outcome


class Outcomes:
    """Counts and histograms of the ended requests of one model."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = dict.fromkeys(get_args(Outcome), 0)
        self.first_token = Histogram(histogram.FIRST_TOKEN)
        self.per_token = Histogram(histogram.PER_TOKEN)
        self.duration = Histogram(histogram.DURATION)
        self.prompt_tokens = Histogram(histogram.TOKENS)
        self.generation_tokens = Histogram(histogram.TOKENS)

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
