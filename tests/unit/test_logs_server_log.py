"""From the pipes to records and events: of a process, the next one, and what they leave open."""

import asyncio
import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from exporter.logs import server_log as module
from exporter.logs.output import LogOutput
from exporter.logs.record import Record
from exporter.logs.server_events import HttpAccessLog
from tests.server_log import ENDLESS, followed, run, server_log
from tests.support import eventually


async def test_bytes_are_counted_once_and_never_fewer(tmp_path: Path) -> None:
    """While a process ends, when it has ended, and when the next begins before the pipes of the last were closed."""
    seen = [0]
    async with followed(tmp_path) as it:

        async def count(until: int) -> None:
            while True:
                assert it.log.read_bytes >= seen[-1]
                seen.append(it.log.read_bytes)
                if seen[-1] >= until:
                    return
                await asyncio.sleep(0)

        await it.say("a line\n")
        draining = asyncio.create_task(it.log.drained())
        await count(7)
        os.close(it.out)
        await it.say("a line\n")
        os.close(it.err)
        await count(14)
        await draining
        assert it.log.read_bytes == 14
        it.pipes()
        await it.say("a line\n")
        await count(21)
        left = it.out, it.err
        it.pipes()
        assert it.log.read_bytes == 21
        for fd in left:
            os.close(fd)
        await it.end()
    assert it.log.read_bytes == 21


async def test_a_pipe_that_another_process_keeps_open_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DRAIN_TIMEOUT", 0.1)
    async with followed(tmp_path) as it:
        child = await asyncio.create_subprocess_exec(*ENDLESS, stdout=it.out, stderr=asyncio.subprocess.DEVNULL)
        os.close(it.out)
        await eventually(lambda: it.log.read_bytes)
        await it.log.drained()
        await child.wait()  # nobody reads
        os.close(it.err)
        it.pipes()
        await it.say("srv  f: of the next\n")
        assert (await it.end())[-1]["message"] == "of the next"


async def test_the_exporters_own_requests_are_no_sign_of_life(tmp_path: Path) -> None:
    line = "srv  log_server_r: request: GET /health 127.0.0.1 200\n"
    async with followed(tmp_path) as it:
        assert it.log.heard_at == float("-inf")
        it.log.asked("/health")
        await it.say(line)
        await eventually(lambda: it.log.read_bytes == len(line))
        await it.say("srv  log_server_r: request: GET /health 10.0.0.7 200\n")
        await eventually(lambda: it.log.http_requests == {("/health", "200"): 1})
        heard = it.log.heard_at
        assert heard > float("-inf")
        for _ in range(3):
            it.log.asked("/health")
        await it.say(line * 3 + "srv  log_server_r: request: GET /props 10.0.0.7 404\n")
        await eventually(lambda: len(it.log.http_requests) == 2)
        assert it.log.heard_at > heard
        heard = it.log.heard_at
        it.log.asked("/health")
        before = it.log.read_bytes
        await it.say(line)
        await eventually(lambda: it.log.read_bytes > before)
        os.close(it.out)
        os.close(it.err)
        await it.log.drained()
        assert it.log.heard_at == heard
        assert it.log.http_requests == {("/health", "200"): 1, ("/props", "404"): 1}
        it.log.asked("/health")
        it.pipes()
        assert it.log.heard_at == float("-inf")
        await it.say(line)
        await it.end()
    assert it.log.http_requests["/health", "200"] == 2  # the exporter asked the process before, not this one


def test_the_exporters_own_questions_are_taken_out_and_others_counted() -> None:
    access = HttpAccessLog()
    access.asked("/health")

    def line(text: str) -> Record:
        return Record("", "info", "llama-server", None, "srv", "log_server_r", message=text)

    health = line("request: GET /health 127.0.0.1 200")
    assert [access.own(health), access.own(health)] == [True, False]
    assert not access.own(line("done request: POST /v1/chat/completions 10.0.0.7 200"))
    assert not access.own(line("request: POST /../../etc/passwd 10.0.0.7 404"))
    assert not access.own(line("request:  {}"))
    assert dict(access.counts) == {("/health", "200"): 1, ("/v1/chat/completions", "200"): 1, ("other", "404"): 1}


async def test_a_child_that_is_killed_in_the_middle_of_a_line(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        output = LogOutput(file.fileno(), buffer=1 << 20, level="info", tail=100)
        script = r"import os; os.write(2, b'0.00.000.001 I srv  a: whole\nhalf of a li'); os.kill(os.getpid(), 9)"
        assert await run(server_log(output), sys.executable, "-c", script) == -signal.SIGKILL
        output.close(10)
    messages = [json.loads(line)["message"] for line in (tmp_path / "out").read_text().splitlines()]
    assert "\n".join(messages) == "whole\nhalf of a li"


async def test_bytes_that_are_no_text_become_replacement_characters(tmp_path: Path) -> None:
    async with followed(tmp_path) as it:
        await it.say(b"srv  a: \xff\xfe ok \xc3 \xed\xa0\x80 \0\n")
        (record,) = await it.end()
    assert record["message"] == "\ufffd\ufffd ok \ufffd \ufffd\ufffd\ufffd \0"


async def test_what_continues_users_words_is_withheld_with_them(tmp_path: Path) -> None:
    lines = [
        'srv  log_server_r: request:  {"prompt": "first secret',
        "Note: second secret",
        "third secret",
        '"]}',
        "srv  update_slots: all slots are idle",
        "No parser definition detected, assuming pure content.Parsing PEG input with format Content-only: x secret",
        "y secret",
        "slot      release: id  0 | task 0 | stop processing: n_tokens = 5, truncated = 0",
        "srv          load:   --api-key",
        "srv          load:   sk-key-secret",
        "srv          load:   --port",
        "error: invalid argument: --api-key=sk-secret",
    ]
    async with followed(tmp_path) as it:
        await it.say("\n".join(lines) + "\n")
        await it.end()
        shipped = (tmp_path / "out").read_text()
        assert "secret" not in re.sub(r"a secret", "", shipped)
        assert "all slots are idle" in shipped
        assert "stop processing" in shipped
        assert "--port" in shipped
        assert "invalid argument: --api-key=" in shipped
        assert not [line for line in it.log.last_lines if "secret" in line.replace("a secret", "")]
        assert b"secret" not in b"".join(it.output.tail.search(limit=100)).replace(b"a secret", b"")


async def test_lines_that_trickle_arrive_without_a_next_one(tmp_path: Path) -> None:
    async with followed(tmp_path) as it:
        await it.say("0.00.000.001 I srv  a: one\n")
        await eventually(lambda: it.output.tail.search(limit=1))
        assert [record["message"] for record in await it.end()] == ["one"]
