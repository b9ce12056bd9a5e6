"""A line of a megabyte costs time in proportion, whatever is in it: a quadratic pattern would take minutes here."""

import faulthandler
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.logs.reader import MAX_UNENDED
from exporter.tasks import Border
from tests.server_log import followed

SIZE = MAX_UNENDED - 200
"""So that a line is not cut."""
GIVE_UP = 120
"""Seconds after which the run is ended with a traceback of the pattern that is at work: linear ones take 0.1 s."""
SLOT = "0.00.000.002 I slot update_slots: id  0 | task 7 | "
TIMING = "0.00.000.002 I slot print_timing: id  0 | task 7 | "
RELEASE = "0.00.000.002 I slot      release: id  0 | task 7 | "
SRV = "0.00.000.002 I srv          load: "
ACCESS = "0.00.000.002 I srv  log_server_r: "
ERROR = "0.00.000.002 W srv    operator(): got exception: "
LINES = {
    "": " |a|[12345] |slot |0.00.000.000 I |\x1b[0|\x1b[0;|a: |error |pure content|pure content parser|\t|\r|9|9.",
    "slot ": " |a|slot ",
    "0.00.000.000 I ": "srv  |a| ",
    '{"type":"log","msg":"': "\\n|a|slot ",
    '{"type":': '{"type":|[|"',
    SLOT: "new prompt, |kv cache rm [9|memory_seq_rm [9|prompt |prompt done, n_past = ",
    SLOT + "new prompt, ": "new prompt, |n_prompt_tokens = |task.n_tokens = 9|9|.",
    SLOT + "prompt done, n_past = ": "9| |prompt done, n_past = 1 ",
    SLOT + "prompt done, n_past = 1": " progress = 2| progress = 0.1|9|.",
    SLOT + "prompt done, n_past = 1, progress = 0.": "1",
    TIMING: " |eval time = |prompt eval time =  |draft acceptance = 0.1 ( |draft ",
    TIMING + "prompt eval time = ": " |9|9.9|9.9 ms / ",
    RELEASE: "stop processing: n_past = 9|stop processing: n_past = ",
    SRV: "task id = 9|cancel task, id_task = 9|instance name=|--api-key |-hft|--hf-token=a ",
    SRV + "spawning server instance with name=": " on port 9|a| on port ",
    SRV + "instance name=": " exited with status -9|a",
    ACCESS: 'request: |done |":|A',
    ACCESS + "request: GET /": "a| |/ a 200 |/a ",
    ERROR: '"code":1,|"code":1,"type":"a"}|{"error":{"code":1,|{"code":1,|}|[',
}
"""How a line begins, and with what it goes on for ever."""


@pytest.fixture
def limited() -> Iterator[None]:
    faulthandler.dump_traceback_later(GIVE_UP, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("prompts", [True, False])
async def test_a_line_of_a_megabyte_is_read_in_linear_time(prompts: bool, tmp_path: Path) -> None:  # noqa: FBT001
    border = Border()
    async with followed(tmp_path, border=border, prompts=prompts) as it:
        for begin, piece in [(begin, piece) for begin, pieces in LINES.items() for piece in pieces.split("|")]:
            await it.say("0.00.000.001 I slot launch_slot_: id  0 | task 7 | processing task\n")
            await it.say(begin + piece * ((SIZE - len(begin)) // len(piece)) + "\n")
        await it.say("0.00.000.003 I srv  f: end\n")
        records = await it.end()
        assert records[-1]["message"] == "end"
        assert not border.failures
        assert max(len(line) for line in (tmp_path / "out").read_bytes().splitlines()) < 16 * 1024
