"""How requests ended and how long they took: counts and histograms."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate
from types import MappingProxyType
from typing import get_args

from exporter.logs.events import Finished, Outcome

# Buckets of vLLM, which contain those of OpenTelemetry's gen_ai.server metrics; the small ones are for small models.
FIRST_TOKEN = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0),
    *(2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
PER_TOKEN = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0),
    *(2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
)
DURATION = (
    *(0.01, 0.02, 0.04, 0.08, 0.16, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0),
    *(120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)
TOKENS = (*(float(step * 10**power) for power in range(6) for step in (1, 2, 5)), 1e6)
BUCKETS: dict[str, tuple[float, ...]] = {
    "llama_time_to_first_token_seconds": FIRST_TOKEN,
    "llama_time_per_output_token_seconds": PER_TOKEN,
    "llama_request_duration_seconds": DURATION,
    "llama_request_prompt_tokens": TOKENS,
    "llama_request_generation_tokens": TOKENS,
}
"""The usual bounds by the metric's name."""


class Histogram:
    """Counts by bound, and the sum of all observations. `bounds` rise; +Inf is added."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = (*bounds, float("inf"))
        self._counts = [0] * len(self._bounds)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def cumulative(self) -> list[tuple[float, int]]:
        """(bound, observations at most that), in order; the last is (+Inf, all)."""
        return list(zip(self._bounds, accumulate(self._counts), strict=True))


class Outcomes:
    """Counts and histograms of the ended requests of one model.

    `buckets` are bounds by the metric's name, where they are not the usual ones.
    """

    def __init__(self, buckets: Mapping[str, Sequence[float]] = MappingProxyType({})) -> None:
        bounds = {**BUCKETS, **buckets}
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
        """Count one. Times and sizes only where the log has them: a cancelled request has an outcome and no more."""
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
