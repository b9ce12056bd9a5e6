"""Records to events of requests: a slot takes one, its prompt progresses, it ends and what it cost."""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from exporter.logs.record import Record

Outcome = Literal["completed", "truncated", "cancelled", "failed"]


class Launched(NamedTuple):
    """A slot has taken the request. `child` is the port of the router's child here and below, None without a router."""

    child: int | None
    task: int


class Progress(NamedTuple):
    """So many prompt tokens are processed, so many were found in the cache; `ratio` (0 to 1) of the prompt is done."""

    child: int | None
    task: int
    prompt_tokens: int
    cached_tokens: int
    ratio: float | None = None


class Finished(NamedTuple):
    """A request ended. Token counts and seconds are None where the log does not say them (a cancelled request).

    `prompt_tokens` were processed, `cached_tokens` were not, having been found in the slot's cache: the sum is what the
    API calls `usage.prompt_tokens`. Of `draft_tokens` that speculative decoding drafted, `draft_accepted` were kept;
    both are None where nothing was drafted.
    """

    child: int | None
    task: int
    outcome: Outcome
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    generation_tokens: int | None = None
    prompt_seconds: float | None = None
    generation_seconds: float | None = None
    draft_tokens: int | None = None
    draft_accepted: int | None = None


RequestEvent = Launched | Progress | Finished

# No count has more than 15 digits, so each is below 2**53. A longer number is none.
COUNT = r"(\d{1,15}+)(?!\d)"
DECIMAL = r"(\d{1,15}+\.\d{1,9}+)"
TIME = re.compile(rf"(?m)^ *(prompt )?eval time = +{DECIMAL} ms / +{COUNT} tokens")
DRAFT = re.compile(rf"draft acceptance(?: rate)? = +{DECIMAL} +\( *{COUNT} accepted / *{COUNT} generated\)")
RELEASE = re.compile(rf"stop processing: (?:n_past|n_tokens) = {COUNT}, truncated = (\d)")
PROMPT_SIZE = re.compile(rf"new prompt, .*(?:n_prompt_tokens|task\.n_tokens) = {COUNT}")
CACHE_KEPT = re.compile(rf"(?:kv cache rm|memory_seq_rm) \[{COUNT}, end\)")
PROMPT_DONE = re.compile(
    r"prompt (?:done|processing done|processing progress|processing), (?:n_past|n_tokens) = +"
    rf"{COUNT}(?:.*\bprogress = ([01](?:\.\d+)?)(?!\d))?"
)
CANCEL_TASK = re.compile(rf"cancel task, id_task = {COUNT}")
ERROR_TASK = re.compile(rf"task id = {COUNT}, error:")
MAX_RUNNING = 4096
"""Requests that are followed at once. The oldest is forgotten first: its process has ended without a word of it."""


class _Request:
    """What the log has said of a running request so far."""

    def __init__(self) -> None:
        self.prompt_size: int | None = None
        self.cached: int | None = None
        self.prompt: tuple[int, float] | None = None
        self.generation: tuple[int, float] | None = None
        self.draft: tuple[int, int] | None = None
        self.held: int | None = None
        self.truncated = False
        self.failed = False
        self.cancelled = False

    def take_timings(self, text: str) -> None:
        """Read a `print_timing` record: one of its lines in new builds, all of them in old and mid ones."""
        if "eval time" in text:
            for of_prompt, milliseconds, tokens in TIME.findall(text):
                if of_prompt:
                    self.prompt = int(tokens), float(milliseconds) / 1e3
                else:
                    self.generation = int(tokens), float(milliseconds) / 1e3
        if "draft" in text and (found := DRAFT.search(text)):
            self.draft = int(found[3]), int(found[2])


class RequestTracker:
    """Follows the requests in one stream, router children included. Feed it every record in order.

    In old builds the timing lines come behind the release, in later ones before it. A cancelled request has none, and
    neither has an embedding, which nobody cancels. So a release without timings, and one whose timings follow, is
    settled by the writer's next record about something else, or by `settle` when there is no next one.
    """

    def __init__(self) -> None:
        self._running: dict[tuple[int | None, int], _Request] = {}
        self._released: dict[int | None, int] = {}

    def feed(self, child: int | None, record: Record) -> Sequence[RequestEvent]:
        """Return the events of a record that the router's child at port `child` wrote (None: no router's)."""
        task = record.task
        ended: tuple[RequestEvent, ...] = ()
        if self._released and child in self._released:
            released = self._released[child]
            if task != released or record.function != "print_timing":
                ended = (self._end(child, released),)
        if task is None:
            if record.component == "srv" and "task" in record.message:
                self._mark(child, record.message)
            return ended
        if record.function == "launch_slot_":
            if not record.message.startswith("processing task"):
                return ended
            if len(self._running) >= MAX_RUNNING:
                self._running.pop(next(iter(self._running)))
            # In place of a request with the same task, which was of the process before at this port.
            self._running[child, task] = _Request()
            return (*ended, Launched(child, task))
        request = self._running.get((child, task))
        if request is None:
            return ended
        events = self._follow(request, record, child, task)
        return (*ended, *events) if ended else events

    def _mark(self, child: int | None, message: str) -> None:
        """Note an error or a client that went away: the server logs them in lines of their own, before the release."""
        found = (failed := ERROR_TASK.search(message)) or CANCEL_TASK.search(message)
        if found and (request := self._running.get((child, int(found[1])))):
            request.failed |= failed is not None
            request.cancelled |= failed is None

    def settle(self) -> Sequence[RequestEvent]:
        """Return the events after a silence: a request released without timings is not going to get any."""
        return [self._end(child, task) for child, task in list(self._released.items())]

    def _follow(self, request: _Request, record: Record, child: int | None, task: int) -> Sequence[RequestEvent]:
        text, function = record.message, record.function
        if function == "print_timing" and not text.startswith("prompt processing"):  # of print_timings_pp, cut off
            request.take_timings(text)
        elif function == "release":
            if found := RELEASE.search(text):
                request.held, request.truncated = int(found[1]), found[2] == "1"
                self._released[child] = task
                if request.generation or request.failed:
                    return (self._end(child, task),)
        elif "rm [" in text:
            if request.cached is None and (found := CACHE_KEPT.search(text)):
                request.cached = int(found[1])
        elif "prompt" in text:
            if found := PROMPT_SIZE.match(text):
                request.prompt_size = int(found[1])
            elif found := PROMPT_DONE.match(text):
                cached = request.cached or 0
                ratio = min(1.0, float(found[2])) if found[2] else None
                return (Progress(child, task, max(0, int(found[1]) - cached), cached, ratio),)
        return ()

    def _end(self, child: int | None, task: int) -> Finished:
        self._released.pop(child, None)
        request = self._running.pop((child, task), None) or _Request()
        if request.failed:
            return Finished(child, task, "failed")
        if request.generation is None or request.prompt is None:
            if request.cancelled or request.held is None:
                return Finished(child, task, "cancelled")
            # Embeddings and reranking print no timings: the slot held the prompt, all of it processed.
            return Finished(child, task, "completed", request.held, 0, 0)
        return Finished(
            child,
            task,
            "truncated" if request.truncated else "completed",
            request.prompt[0],
            self._cached(request, request.prompt[0], request.generation[0]),
            request.generation[0],
            request.prompt[1],
            request.generation[1],
            *(request.draft or (None, None)),
        )

    @staticmethod
    def _cached(request: _Request, prompt: int, generated: int) -> int | None:
        """Return how many prompt tokens were not processed.

        From the prompt's size where the build logs it, else from what the slot held at the end: the whole prompt and
        every generated token but the last (builds that log no size have no context shift).
        """
        if request.prompt_size is not None:
            return max(0, request.prompt_size - prompt)
        if request.held is not None:
            return max(0, request.held - prompt - max(0, generated - 1))
        return None
