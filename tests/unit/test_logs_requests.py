import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.logs.assembler import Assembler, Clock
from exporter.logs.events import Finished, Launched, RequestEvent, RequestTracker
from exporter.logs.server_events import Ended, Spawned, read_router_event
from tests.support import FIXTURES


def block(lines: list[str]) -> str:
    return "".join(line + "\n" for line in lines)


def events_of(file: Path) -> list[RequestEvent]:
    assembler = Assembler(Clock(lambda: 0), lambda child: None if child is None else str(child))
    tracker = RequestTracker()
    records = [*assembler.feed(file.read_text("utf-8").removesuffix("\n") + "\n"), *assembler.flush()]
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


@given(st.data())
def test_children_that_write_at_once_are_kept_apart_wherever_their_lines_meet(data: st.DataObject) -> None:
    """Two children's lines in any order of meeting, as the router passes them on, tell what each alone tells."""
    lines = (FIXTURES / "new" / "router.stdout.log").read_text("utf-8").splitlines()
    children = [[line for line in lines if line.startswith(f"[{port}]")] for port in (41381, 36477)]
    mixed = []
    while all(children):
        mixed.append(children[data.draw(st.integers(0, 1))].pop(0))
    mixed += children[0] + children[1]
    assembler = Assembler(Clock(lambda: 0), str)
    tracker = RequestTracker()
    records = [*assembler.feed(block(mixed)), *assembler.flush()]
    events = [event for child, record in records for event in tracker.feed(child, record)] + list(tracker.settle())
    finished = [event for event in events if isinstance(event, Finished)]
    assert {(event.child, event.prompt_tokens, event.generation_tokens) for event in finished} == {
        (41381, 10, 20),
        (36477, 10, 20),
    }
    assert len(finished) == 2


@pytest.mark.parametrize("build", ["mid", "new"])
def test_a_router_tells_which_port_is_whose_and_how_its_children_ended(build: str) -> None:
    assembler = Assembler(Clock(lambda: 0), lambda _: None)
    lines = (FIXTURES / build / "router.stderr.log").read_text("utf-8").splitlines()
    records = [*assembler.feed(block(lines)), *assembler.flush()]
    events = [event for _, record in records if (event := read_router_event(record)) is not None]
    spawned = [event.model for event in events if isinstance(event, Spawned)]
    assert spawned == ["alpha", "beta", "broken"]
    ended = [event for event in events if isinstance(event, Ended)]
    assert set(ended) == {Ended("alpha", 0), Ended("beta", 0), Ended("broken", 1)}


PLACE = "slot print_timing: id  0 | task 0 | draft acceptance"
DRAFTS = [
    (f"{PLACE} = 1.00000 (   36 accepted /    36 generated), mean len =  4.00", (36, 36)),
    (f"{PLACE} rate = 0.57576 (   19 accepted /    33 generated)", (33, 19)),
]


@pytest.mark.parametrize(("line", "expected"), DRAFTS, ids=["new", "mid"])
def test_what_was_drafted(line: str, expected: tuple[int, int]) -> None:
    text = (FIXTURES / "new" / "single.stderr.log").read_text("utf-8").splitlines()
    begin = next(index for index, one in enumerate(text) if "launch_slot_" in one)
    end = next(index for index, one in enumerate(text) if "release" in one)
    task = text[begin].split("task ")[1].split(" ")[0]
    drafted = re.sub(r"id +\d+ \| task \d+", text[begin].split("launch_slot_: ")[1].split(" | proc")[0], line)
    lines = [*text[begin:end], f"0.00.000.001 I {drafted}", *text[end:]]
    assembler, tracker = Assembler(Clock(lambda: 0), lambda _: None), RequestTracker()
    records = [*assembler.feed(block(lines)), *assembler.flush()]
    events = [event for child, record in records for event in tracker.feed(child, record)] + list(tracker.settle())
    first = next(event for event in events if isinstance(event, Finished))
    assert (first.task, first.draft_tokens, first.draft_accepted) == (int(task), *expected)


def test_bare_draft_lines_of_old_builds_belong_to_the_request_that_ended() -> None:
    lines = [
        "slot launch_slot_: id  0 | task 7 | processing task",
        "slot      release: id  0 | task 7 | stop processing: n_past = 20, truncated = 0",
        "slot print_timing: id  0 | task 7 | ",
        "prompt eval time =       0.49 ms /    13 tokens (    0.04 ms per token, 26476.58 tokens per second)",
        "       eval time =       1.00 ms /     8 tokens (    0.12 ms per token,  8000.00 tokens per second)",
        "      total time =       1.49 ms /    21 tokens",
        "slot print_timing: id  0 | task 7 | ",
        "draft acceptance rate = 0.57576 (   19 accepted /    33 generated)",
        "srv  update_slots: all slots are idle",
    ]
    assembler, tracker = Assembler(Clock(lambda: 0), lambda _: None), RequestTracker()
    records = [*assembler.feed(block(lines)), *assembler.flush()]
    events = [event for child, record in records for event in tracker.feed(child, record)] + list(tracker.settle())
    assert [type(event) for event in events] == [Launched, Finished]
    (_, finished) = events
    assert isinstance(finished, Finished)
    assert (finished.prompt_tokens, finished.generation_tokens, finished.draft_tokens) == (13, 8, 33)


def test_children_of_a_router_are_kept_apart() -> None:
    finished = finished_of(FIXTURES / "new" / "router.stdout.log")
    assert [(event.child, event.generation_tokens) for event in finished] == [(41381, 20), (36477, 20)]


def test_json_lines_tell_the_same() -> None:
    (finished,) = finished_of(FIXTURES / "new" / "jsonl.stdout.log")
    assert (finished.prompt_tokens, finished.generation_tokens, finished.outcome) == (7, 20, "completed")
