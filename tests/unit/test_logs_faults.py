"""From the pipes to records and events: what goes wrong on the way stops neither the log nor llama-server."""

import asyncio
import os
import resource
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.logs import server_log as module
from exporter.logs.events import Launched, Progress, RequestEvent, RequestTracker
from exporter.tasks import Border
from tests.server_log import followed
from tests.support import FIXTURES, eventually

REQUEST = (FIXTURES / "new" / "single.stderr.log").read_text("utf-8")
LAUNCH = "slot launch_slot_: id  0 | task 7 | processing task, is_child = 0\n"


def failing(*_: object) -> Any:
    raise ValueError("odd")


async def test_callbacks_that_fail_cost_no_record(tmp_path: Path) -> None:
    router = "srv          load: spawning server instance with name=alpha on port 41381\n"
    text = f"{router}{REQUEST}"
    border = Border()
    async with followed(tmp_path) as it:
        await it.say(text)
        expected = await it.end()
    async with followed(tmp_path, border=border, on_request=failing, on_router=failing, model_of=failing) as it:
        await it.say(text)
        records = await it.end()
    assert [record["message"] for record in records] == [record["message"] for record in expected]
    assert border.failures["log events"] > 10
    assert set(border.failures) == {"log events"}


@pytest.mark.parametrize("name", ["read_router_event", "private"])
async def test_a_record_that_cannot_be_read_is_shipped_without_its_text(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    border = Border()
    async with followed(tmp_path, border=border) as it:
        monkeypatch.setattr(module, name, failing)
        await it.say("srv  f: text\nslot f: id  0 | task 0 | text\n")
        first, second = await it.end()
    assert first["message"].startswith("[withheld: 4 characters")
    assert (second["function"], second["task"]) == ("f", 0)
    assert border.failures == {"log events": 1 if name == "read_router_event" else 2}


async def test_events_that_cannot_be_read_cost_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    border = Border()
    monkeypatch.setattr(RequestTracker, "feed", failing)
    async with followed(tmp_path, border=border) as it:
        await it.say(LAUNCH + "srv  f: text\n")
        assert [record["message"][:4] for record in await it.end()] == ["proc", "text"]
    assert border.failures == {"log events": 2}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("prompt processing progress, n_tokens = 10, progress = 0.51.", Progress(None, 7, 10, 0, 0.51)),
        ("prompt processing progress, n_tokens = 10, progress = 0.5.1", Progress(None, 7, 10, 0, 0.5)),
        ("prompt processing progress, n_tokens = 10, progress = 1.5", Progress(None, 7, 10, 0, 1.0)),
        ("prompt processing progress, n_tokens = 10, progress = 99", Progress(None, 7, 10, 0, None)),
        ("prompt processing progress, n_tokens = 10, progress = .", Progress(None, 7, 10, 0, None)),
        ("prompt done, n_past = 9007199254740993, n_tokens = 1", None),
        (f"prompt done, n_past = {'9' * 5000}, n_tokens = 1", None),
    ],
    ids=lambda line: str(line)[:70],
)
async def test_numbers_that_are_none(line: str, expected: Progress | None, tmp_path: Path) -> None:
    border, events = Border(), list[RequestEvent]()
    async with followed(tmp_path, border=border, on_request=events.append) as it:
        await it.say(f"{LAUNCH}slot update_slots: id  0 | task 7 | {line}\nsrv  update_slots: all slots are idle\n")
        records = await it.end()
    assert [record["message"] for record in records][1:] == [line, "all slots are idle"]
    assert events == [Launched(None, 7), *([expected] if expected else [])]
    assert not border.failures


PIECES = st.sampled_from(
    [
        *(
            "slot launch_slot_: id  0 | task 7 | processing task",
            "slot release: id 0 | task 7 | stop processing: n_past = ",
        ),
        *(
            "slot print_timing: id 0 | task 7 | ",
            "prompt eval time = ",
            " ms / ",
            " tokens",
            "eval time = ",
            "[41381] ",
        ),
        *(
            "slot update_slots: id 0 | task 7 | ",
            "new prompt, n_prompt_tokens = ",
            "prompt done, n_past = ",
            ", truncated = 1",
        ),
        *(
            "progress = ",
            "memory_seq_rm [",
            ", end)",
            "draft acceptance = ",
            " ( 1 accepted / 2 generated)",
            "0.00.000.001 I ",
        ),
        *(
            "srv  log_server_r: request: GET /health 127.0.0.1 ",
            "srv  f: task id = ",
            ", error: x",
            "cancel task, id_task = ",
        ),
        *(
            "spawning server instance with name=",
            " on port ",
            " exited with status ",
            '{"type":"log","msg":"',
            '"}',
            "\x1b[0",
        ),
        *(
            "got exception: ",
            '{"code":',
            '"type":"',
            "0.5.1",
            ".",
            "-1",
            "nan",
            "9" * 20,
            "9" * 5000,
            "\0",
            "\ud83d",
            "\n",
            "\n",
        ),
    ]
)


@given(pieces=st.lists(PIECES | st.text(max_size=3), max_size=60))
@settings(max_examples=100, deadline=None)
def test_no_text_makes_anything_fail(pieces: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    border = Border()
    data = "".join(pieces).encode("utf-8", "surrogatepass")

    async def shipped() -> list[dict[str, Any]]:
        async with followed(tmp_path_factory.mktemp("fuzz"), border=border) as it:
            os.write(it.err, data)
            return await it.end()

    records = asyncio.run(shipped())
    assert not border.failures
    assert bool(records) == bool(data)


async def test_without_file_descriptors_the_log_goes_on(tmp_path: Path) -> None:
    border = Border()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with followed(tmp_path, border=border, on_request=failing) as it:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            await it.say(LAUNCH)
            await eventually(lambda: it.output.counts["stderr", "info"] == 1)
            with pytest.raises(OSError, match="Too many open files"):
                os.pipe()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert len(await it.end()) == 1
    assert border.failures == {"log events": 1}
