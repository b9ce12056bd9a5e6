from pathlib import Path

import pytest

from exporter.logs.assembler import MAX_JOINED
from exporter.logs.reader import MAX_UNENDED
from exporter.logs.record import Level, Record
from exporter.logs.redaction import MARKS, Mark, private, withhold
from tests.server_log import followed
from tests.support import FIXTURES
from tests.unit.test_logs_grammar import records_of


def shown(record: Record) -> str:
    return withhold(record.message) if private(record) else record.message


def of(message: str, level: Level = "info") -> Record:
    return Record("", level, "llama-server", message=message)


@pytest.mark.parametrize("mark", MARKS, ids=lambda mark: mark.text)
def test_what_a_mark_stands_for_is_private(mark: Mark) -> None:
    assert mark.text in mark.sample
    assert private(of(mark.sample))


@pytest.mark.parametrize("build", ["old", "mid", "new"])
def test_no_word_of_a_prompt_or_an_answer_leaves_a_verbose_log(build: str) -> None:
    text = (FIXTURES / build / "verbose.stderr.log").read_text("utf-8", "replace")
    shipped = "\n".join(shown(record) for record in records_of(text))
    assert ("secret" in text) or build == "new"
    assert "secret" not in shipped
    assert '"content":' not in shipped
    assert "prompt token" not in shipped  # its tokens, one a line


@pytest.mark.parametrize("build", ["old", "mid", "new"])
def test_an_ordinary_log_is_shipped_whole(build: str) -> None:
    for record in records_of((FIXTURES / build / "single.stderr.log").read_text("utf-8")):
        assert shown(record) == record.message


def test_of_an_error_its_code_and_type_are_shipped() -> None:
    error = (
        'got exception: {"error":{"code":400,"message":"last read: \'\\"a secret\'","type":"invalid_request_error"}}'
    )
    assert shown(of(error)).startswith("got exception: 400 invalid_request_error [withheld: ")
    assert "secret" not in shown(of(error)) + shown(of("got exception: secret"))


def test_of_an_odd_error_nothing_is_shipped() -> None:
    for body in ('{"code":"secret"}', '{"code":1,"type":"a secret"}', '{"error":' * 100_000, '"\ud800"', "[]", "null"):
        assert shown(of(f"got exception: {body} secret")).startswith("[withheld: ")
        assert withhold(f"got exception: {body}").startswith("[withheld: ")


def test_what_is_quoted_at_level_debug_is_withheld_whatever_it_is() -> None:
    assert private(of("a line of next year: 'secret'", "debug"))
    assert not private(of("n_tokens = 5, truncated = 0", "debug"))
    assert not private(of("loading model 'tiny.gguf'"))


@pytest.mark.parametrize(
    "body", ["secret\n" * (MAX_JOINED // 5), "secret " * (MAX_UNENDED // 3)], ids=["lines", "line"]
)
async def test_a_body_is_withheld_to_its_end_however_long_it_is(body: str, tmp_path: Path) -> None:
    async with followed(tmp_path) as it:
        await it.say(f"0.00.001.000 D srv  log_server_r: request:  {body}\n0.00.001.001 I srv  update_slots: idle\n")
        await it.end()
        shipped = (tmp_path / "out").read_text()
    assert "secret" not in shipped
    assert shipped.count("withheld") == 1
    assert "idle" in shipped
