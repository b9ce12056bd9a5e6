"""Answers that a broken llama-server could give, made from those of real builds: hypothesis strategies."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

from tests.native_pages import PAGES, WORDS
from tests.upstream import CLOSED, Answer, Build, fixture

DEEP = "@deep@"
"""Stands for 100,000 lists in one another."""
ODD: list[Any] = [
    *(None, True, -1, 0.5, 10**9, 2**70, 1e308, float("nan"), float("inf"), "", "x", "4", "1\nevil_metric 42"),
    *("a\0b", "\ud800", '"} 1\n', [], [3], [None], [1, 2], [{}], {}, {"a": 1}, DEEP, "x" * 5_000_000),
]
READ = {
    *("data", "id", "aliases", "meta", "n_ctx", "n_ctx_train", "n_params", "size", "ftype", "role", "total_slots"),
    *("default_generation_settings", "model_path", "model_alias", "model_ftype", "build_info", "is_sleeping", "failed"),
    *("status", "value", "args", "exit_code", "model", "event", "error", "message", "id_task", "is_processing"),
    *("next_token", "n_decoded", "n_prompt_tokens", "n_prompt_tokens_processed", "n_prompt_tokens_cache"),
}
"""Keys that say something to an exporter; there are ten times as many."""


def plays(model: str, once: Sequence[str], again: Sequence[str]) -> list[tuple[str, str, bool]]:
    """Model, path, and whether a new process answers oddly, for what it is asked `once`, and `again` and again."""
    return [*((model, path, True) for path in (*once, *again)), *((model, path, False) for path in again)]


SINGLE = plays("", ["GET /v1/models"], ["GET /health", "GET /props", "GET /slots", "GET /metrics"])
ROUTER = plays("", ["GET /props", "GET /models/sse"], ["GET /health", "GET /models", "POST /models/load"])
CHILD = plays("alpha", ["GET /props", "GET /v1/models"], ["GET /slots", "GET /metrics"])


def encode(value: Any) -> bytes:
    """As JSON, and as what only looks like it: NaN, lone surrogates, deep nesting."""
    return json.dumps(value).replace(f'"{DEEP}"', "[" * 100_000 + "]" * 100_000).encode()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside of this one that is worth reading."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        if isinstance(key, int) or key in READ:
            yield (*path, key)
            yield from places(inner, (*path, key))


def replaced(real: Any, path: tuple[Any, ...], odd: Any) -> Any:
    """The decoded answer with another value at `path`."""
    if not path:
        return odd
    copy = dict(real) if isinstance(real, dict) else list(real)
    copy[path[0]] = replaced(copy[path[0]], path[1:], odd)
    return copy


@st.composite
def mutated(draw: st.DrawFn, real: Any) -> bytes:
    """A decoded answer with one, two or four odd values in it."""
    for _ in range(draw(st.sampled_from([1, 2, 4]))):
        real = replaced(real, draw(st.sampled_from([*places(real)] or [()])), draw(st.sampled_from(ODD)))
    return encode(real)


def _page(build: Build) -> st.SearchStrategy[bytes]:
    """A page of a build with an odd value, or pages of any kind."""
    lines = fixture(build, "metrics-busy.txt").splitlines()

    def change(number: int, value: str) -> str:
        return "\n".join([*lines[:number], f"{lines[number].rpartition(' ')[0]} {value}", *lines[number + 1 :]]) + "\n"

    words = st.sampled_from([*WORDS, "9" * 400, "1e308"])
    return (st.builds(change, st.integers(0, len(lines) - 1), words) | PAGES).map(str.encode)


WHOLE = [
    *map(encode, (None, [], {}, 5, "x", DEEP, "x" * 5_000_000)),
    *(b"", b"\0", b"\xff\xfe{}", b'{"a":"\xed\xa0\x80"}'),
]
RAW = [
    CLOSED,
    Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{", raw=True),
    Answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n", raw=True),
    Answer(b"\0" * 99, raw=True),
]
TYPES = ["application/json", "text/html", "text/event-stream", "x"]
STATUSES = [200, 302, 400, 500, 503]
ENDLESS = [Answer(b"[" * 65536, status, times=800) for status in STATUSES]


def _real(path: str, build: Build) -> Any:
    """What the build answers to method and path, decoded."""
    return {
        "GET /health": {"status": "ok"},
        "GET /props": fixture(build, "props.json"),
        "GET /v1/models": fixture(build, "v1-models.json"),
        "GET /models": fixture("new", "router-models-failed.json"),
        "GET /slots": fixture(build, "slots-busy.json"),
        "GET /models/sse": {"model": "alpha", "event": "model_status", "data": {"status": "unloaded", "exit_code": 1}},
        "POST /models/load": {"error": {"code": 400, "message": "no", "type": "invalid_request_error"}},
    }[path]


@st.composite
def odd_answers(draw: st.DrawFn, path: str, build: Build) -> Answer:
    """An answer to method and path: most often one of the build with odd values, else one that is odd as a whole."""
    kind = draw(st.integers(0, 19))
    if kind >= 18:
        return draw(st.sampled_from(RAW if kind == 18 else ENDLESS))
    if kind >= 15:
        body = draw(st.sampled_from(WHOLE))
    else:
        body = draw(_page(build) if path == "GET /metrics" else mutated(_real(path, build)))
    if kind == 14:
        body = body[: len(body) * draw(st.integers(1, 9)) // 10]
    if path == "GET /models/sse":
        body = b"data: " + body + b"\n\n"
    return Answer(body, draw(st.sampled_from(STATUSES)) if kind == 13 else 200, draw(st.sampled_from(TYPES)))


def _known() -> Iterator[tuple[str, tuple[str, str, Answer]]]:
    """Answers that have been trouble: a name, and the role of the server, method and path, the answer."""
    props, models, slots = (fixture("new", name) for name in ("props.json", "v1-models.json", "slots-busy.json"))
    page, listed = fixture("new", "metrics-busy.txt"), fixture("new", "router-models-failed.json")
    odd: Any
    busy, meta, status = (0, "next_token"), ("data", 0, "meta"), ("data", 2, "status")
    for odd in (None, []):
        yield f"props {odd}", ("single", "GET /props", Answer(encode(odd)))
    yield "props no UTF-8", ("single", "GET /props", Answer(b'{"model_path":"\xff\xfe"}'))
    for key, odd in (("model_path", 5), ("model_path", "a\0b"), ("total_slots", "4"), ("total_slots", 10**9)):
        yield f"props {key} {odd!r}", ("single", "GET /props", Answer(encode(replaced(props, (key,), odd))))
    for odd in ("x", [3], [{"n_decoded": 1e308}]):
        yield f"slots next_token {odd}", ("single", "GET /slots", Answer(encode(replaced(slots, busy, odd))))
    for key, odd in (("size", "abc"), ("size", [1, 2]), ("n_params", "1\nevil_metric 42")):
        yield f"models {key} {odd!r}", ("single", "GET /v1/models", Answer(encode(replaced(models, (*meta, key), odd))))
    for odd in ("NaN", "+Inf"):
        text = page.replace("tokens_predicted_total 89", f"tokens_predicted_total {odd}")
        yield f"counter {odd}", ("single", "GET /metrics", Answer(text.encode()))
    for name, line in (
        ("a name that could be a sample", "error404"),
        ("many blanks in an open brace", "a{" + " " * 2000 + "x"),
        ("the same sample twice", "llamacpp:tokens_predicted_total 89"),
        ("a label of 20 MB", 'llamacpp:x{a="' + "x" * 20_000_000 + '"} 1'),
    ):
        yield name, ("single", "GET /metrics", Answer(f"{page}{line}\n".encode()))
    yield "exit code x", ("router", "GET /models", Answer(encode(replaced(listed, (*status, "exit_code"), "x"))))
    yield "an error of 200 MB", ("router", "POST /models/load", Answer(b"x" * 65536, 500, times=3200))


KNOWN = dict(_known())
