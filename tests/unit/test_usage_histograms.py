import json
from itertools import pairwise

import pytest

from exporter.usage import histograms
from exporter.usage.histograms import Histogram, Outcomes
from tests.support import FIXTURES
from tests.unit.test_logs_requests import finished_of


def test_a_bound_holds_what_is_equal_to_it() -> None:
    it = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 3.0):
        it.observe(value)
    assert it.cumulative() == [(1.0, 2), (2.0, 4), (float("inf"), 5)]
    assert it.sum == 8.0


@pytest.mark.parametrize("name", ["FIRST_TOKEN", "PER_TOKEN", "DURATION", "TOKENS"])
def test_bounds_rise(name: str) -> None:
    assert all(before < after for before, after in pairwise(getattr(histograms, name)))


@pytest.mark.parametrize("build", ["old", "mid", "new"])
def test_sums_are_what_the_api_told_its_clients(build: str) -> None:
    truth = [request["timings"] for request in json.loads((FIXTURES / build / "truth.json").read_text())]
    outcomes = Outcomes()
    for request in finished_of(FIXTURES / build / "single.stderr.log"):
        outcomes.take(request)
    assert outcomes.counts == {"completed": 3, "truncated": 0, "cancelled": 1, "failed": 0}
    assert outcomes.generation_tokens.sum == sum(timings["predicted_n"] for timings in truth)
    assert outcomes.prompt_tokens.sum == sum(timings["prompt_n"] + timings.get("cache_n", 0) for timings in truth)
    assert outcomes.first_token.sum == pytest.approx(sum(t["prompt_ms"] for t in truth) / 1e3, abs=2e-5)
    assert outcomes.per_token.sum == pytest.approx(
        sum(t["predicted_ms"] / t["predicted_n"] for t in truth) / 1e3, abs=2e-5
    )
