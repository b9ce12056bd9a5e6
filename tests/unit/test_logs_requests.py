import json
from pathlib import Path

import pytest

from exporter.logs.assembler import Assembler
from exporter.logs.requests import Finished, Launched, RequestEvent, RequestTracker
from tests.support import FIXTURES


def events_of(file: Path) -> list[RequestEvent]:
    assembler = Assembler(lambda: "now", lambda child: None if child is None else str(child))
    tracker = RequestTracker()
    lines = file.read_text("utf-8").removesuffix("\n").split("\n")
    records = [*assembler.feed(lines), *assembler.flush()]
    return [event for child, record in records for event in tracker.feed(child, record)] + list(tracker.settle())


def finished_of(file: Path) -> list[Finished]:
    return [event for event in events_of(file) if isinstance(event, Finished)]


@pytest.mark.parametrize("build", ["old", "mid", "new"])
def test_the_log_tells_what_the_api_told_its_client(build: str) -> None:
    truth = json.loads((FIXTURES / build / "truth.json").read_text())
    finished = finished_of(FIXTURES / build / "single.stderr.log")
    completed = [event for event in finished if event.outcome == "completed"]
    assert [(event.prompt_tokens, event.generation_tokens) for event in completed] == [
        (request["timings"]["prompt_n"], request["timings"]["predicted_n"]) for request in truth
    ]
    assert [event.cached_tokens for event in completed] == [request["timings"].get("cache_n", 0) for request in truth]
    for event, request in zip(completed, truth, strict=True):
        # The log prints hundredths of a millisecond.
        assert event.prompt_seconds == pytest.approx(request["timings"]["prompt_ms"] / 1e3, abs=6e-6)
        assert event.generation_seconds == pytest.approx(request["timings"]["predicted_ms"] / 1e3, abs=6e-6)
    assert [event.outcome for event in finished if event.outcome != "completed"] == ["cancelled"]


@pytest.mark.parametrize("build", ["old", "mid", "new"])
def test_every_request_that_begins_ends_once(build: str) -> None:
    events = events_of(FIXTURES / build / "mixed.stderr.log")
    begun = [event.task for event in events if isinstance(event, Launched)]
    ended = [event.task for event in events if isinstance(event, Finished)]
    assert sorted(begun) == sorted(ended)
    assert len(set(ended)) == len(ended) > 5


@pytest.mark.parametrize(("build", "failed"), [("mid", 1), ("new", 1)])
def test_outcomes_of_full_contexts_and_too_long_prompts(build: str, failed: int) -> None:
    outcomes = [event.outcome for event in finished_of(FIXTURES / build / "mixed.stderr.log")]
    assert outcomes.count("failed") == failed
    assert outcomes.count("truncated") >= 5


def test_children_of_a_router_are_kept_apart() -> None:
    finished = finished_of(FIXTURES / "new" / "router.stdout.log")
    assert [(event.child, event.generation_tokens) for event in finished] == [(41381, 20), (36477, 20)]


def test_json_lines_tell_the_same() -> None:
    (finished,) = finished_of(FIXTURES / "new" / "jsonl.stdout.log")
    assert (finished.prompt_tokens, finished.generation_tokens, finished.outcome) == (7, 20, "completed")
