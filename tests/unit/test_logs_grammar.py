from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.logs.assembler import Assembler, Clock
from exporter.logs.format import BODIES, CHILD, PREFIX, TIMING, UNENDED, ParsedLine, Pattern, microseconds, parse
from exporter.logs.record import Record
from tests.support import FIXTURES


@pytest.mark.parametrize("pattern", [*BODIES, PREFIX, CHILD, TIMING, UNENDED], ids=lambda pattern: pattern.name)
def test_every_pattern_matches_its_sample_and_nothing_above_it_does(pattern: Pattern) -> None:
    assert pattern.regex.match(pattern.sample)
    if pattern in BODIES:
        assert not any(above.regex.match(pattern.sample) for above in BODIES[: BODIES.index(pattern)])


def fields(line: str) -> ParsedLine:
    (found,) = parse(line + "\n")
    return ParsedLine._make(found)


def test_a_line_of_a_new_build_is_taken_apart() -> None:
    line = fields("0.04.014.844 W slot print_timing: id  0 | task 12 | total time = 5 ms")
    assert (line.letter, line.function, line.slot, line.task) == ("W", "print_timing", "0", "12")
    assert line.message == "total time = 5 ms"
    assert microseconds(line.second) + int(line.milli + line.micro) == 4_014_844


def test_a_line_of_a_router_child_behind_colours() -> None:
    line = fields("[41381] \x1b[32m0.00.004.007\x1b[0m E gguf_init_from_reader: failed to read header")
    assert (line.child, line.letter, line.other) == ("41381", "E", "gguf_init_from_reader")
    assert line.message == "failed to read header"


def test_the_line_behind_one_that_was_not_ended_is_a_line() -> None:
    lines = [
        ParsedLine._make(line) for line in parse(f"{UNENDED.sample}\n[41381] {UNENDED.sample}\n{UNENDED.sample[:75]}\n")
    ]
    ends = [("", "D", ""), ("", "I", "srv"), ("41381", "D", ""), ("41381", "I", "srv"), ("", "D", "")]
    assert [(line.child, line.letter, line.component) for line in lines] == ends
    assert [line.message for line in lines[1::2]] == ["hello", "hello"]


@given(st.text(alphabet=st.characters(exclude_characters="\n", codec="utf-8")))
def test_every_text_is_one_line_and_none_of_it_is_lost(text: str) -> None:
    line = fields(text)
    assert line.raw.endswith(line.message)
    if "\x1b" not in text and not text.endswith("\r"):
        assert text.endswith(line.raw)


@pytest.mark.parametrize(
    "line",
    [
        f"slot {'f' * 65}: id  0 | task 0 | text",
        f"slot update_slots: id  {'9' * 10} | task 0 | text",
        f"slot update_slots: id  0 | task {'9' * 5000} | text",
        f"srv  {'f' * 20_000}: text",
        f"{'f' * 20_000}: text",
        f"{'9' * 5000}.00.000.000 I srv  f: text",
        f'{{"type":"{"t" * 20_000}"}}',
        '{"type":"log","msg":"text","more":' + '{"a":' * 100_000,
        '{"type":"log","time":1e400,"msg":"text"}',
    ],
    ids=lambda line: line[:12],
)
def test_names_and_numbers_that_are_too_long_are_text(line: str) -> None:
    (record,) = records_of(line)
    assert line.endswith(record.message)
    assert len(record.component or "") <= 64
    assert len(record.function or "") <= 64
    assert record.slot is None or record.slot < 2**31
    assert record.task is None or record.task < 2**53


def test_json_lines_and_what_only_looks_like_them() -> None:
    text = '{"type":"log","time":2990,"level":"warn","msg":"srv  llama_server: no key\\nbelow\\n"}'
    broken = '{"type":"log","time":29'
    records = records_of(f"{text}\n[41381] {text}\n{broken}\n{text}\n")
    assert sorted((record.model or "", record.message) for record in records) == sorted(
        [("", "no key\nbelow"), ("", broken), ("", "no key\nbelow"), ("41381", "no key\nbelow")]
    )
    whole = [record for record in records if record.message != broken]
    assert {(record.level, record.component, record.function) for record in whole} == {("warn", "srv", "llama_server")}


def records_of(text: str) -> list[Record]:
    assembler = Assembler(Clock(lambda: 0), lambda child: None if child is None else str(child))
    records = [*assembler.feed(text.removesuffix("\n") + "\n"), *assembler.flush()]
    return [record for _, record in records]


@pytest.mark.parametrize(
    "file", sorted(FIXTURES.glob("*/*.stderr.log")), ids=lambda file: f"{file.parent.name}/{file.name}"
)
def test_no_text_of_a_real_log_is_lost(file: Path) -> None:
    text = file.read_text("utf-8", "replace")
    together = "\n".join(record.message for record in records_of(text))
    ends = [line.split()[-1] for line in text.split("\n") if len(line.split()) > 6 and not line.endswith("}")]
    assert len(ends) > 2
    assert [end for end in ends if end not in together] == []


def test_the_chat_template_is_one_record() -> None:
    records = records_of((FIXTURES / "old" / "prefix.stderr.log").read_text("utf-8"))
    (template,) = [record for record in records if "chat_template:" in record.message]
    assert template.message.count("\n") > 10
    assert template.level == "info"


def test_bare_timing_lines_join_their_header() -> None:
    records = records_of((FIXTURES / "old" / "single.stderr.log").read_text("utf-8"))
    timings = [record for record in records if record.function == "print_timing"]
    assert len(timings) == 3
    assert all("prompt eval time" in record.message and "total time" in record.message for record in timings)
