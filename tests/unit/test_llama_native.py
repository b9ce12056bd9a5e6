"""llama-server's own page: what is read of any bytes, and at what cost."""

import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.llama import native
from exporter.llama.api import UpstreamError
from exporter.llama.native import MAX_LINE, NativePage, read
from tests.native_pages import PAGES as NATIVE_PAGES
from tests.support import FIXTURES

PAGES = sorted(FIXTURES.glob("*/metrics-*.txt"))
MIB = 1024 * 1024


def samples(page: NativePage) -> dict[str, str]:
    return {sample: value for family in page.families.values() for sample, value in family.samples.items()}


def shapes(page: NativePage) -> list[tuple[str, str, int]]:
    return [(family.name, family.kind, len(family.samples)) for family in page.families.values()]


@pytest.mark.parametrize("file", PAGES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_a_real_page_is_read_whole(file: Path) -> None:
    page = read(file.read_bytes())
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    assert page.bad_lines == 0
    assert [f"{sample} {value}".replace("+Inf", "inf") for sample, value in samples(page).items()] == lines


def test_good_families_survive_bad_lines() -> None:
    page = read(
        b'# TYPE a counter\na 1\nb{ 2\nc -nan(ind)\n\x00\xff\nd{x="1",} 1e3 1700000000\n# TYPE e nonsense\ne 2'
        b"\nerror404\n{} 1\nf\xc3\xa9 1\n"
    )
    assert samples(page) == {"a": "1", 'd{x="1"}': "1e3", "e": "2"}
    assert page.bad_lines == 7


def test_histograms_stay_together() -> None:
    page = read(
        b'# TYPE h histogram\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 3\nh_sum 4.5\nh_count 3\n'
        b'# TYPE g gauge\ng{model="theirs",s="a\\"b\\\\\\n"} 1\n'
    )
    assert page.bad_lines == 0
    assert shapes(page) == [("h", "histogram", 4), ("g", "gauge", 1)]


def test_openmetrics_is_read_as_well() -> None:
    page = read(
        b"# TYPE foo counter\n# HELP foo Foos.\nfoo_total 17.0 1520879607.789\n"
        b'# TYPE bar histogram\nbar_bucket{le="0.1"} 8 # {trace_id="a # b"} 0.05 1520879607.789\n'
        b'bar_bucket{le="+Inf"} 9 # {} 3\nbar_sum 3\nbar_count 9\n'
        b'# UNIT bar seconds\n# TYPE i info\ni_info{v="1"} 1\n# EOF\n'
    )
    assert page.bad_lines == 0
    assert shapes(page) == [("foo_total", "counter", 1), ("bar", "histogram", 4), ("i_info", "unknown", 1)]
    assert page.families["foo_total"].help == "Foos."
    assert samples(page)["foo_total"] == "17.0"


def test_a_page_may_be_one_json_string() -> None:
    text = (FIXTURES / "mid" / "metrics-busy.txt").read_text()
    assert read(json.dumps(text).encode()) == read(text.encode())


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'"\\ud800"', b'"a', b"\xff\xfe", b"# TYPE a counter\n", b"<html>"]
)
def test_what_has_no_metric_is_an_error(body: bytes) -> None:
    with pytest.raises(UpstreamError, match=rf"GET /metrics answered {len(body)} bytes without a metric"):
        read(body)


def test_every_number_that_the_format_knows_stays_as_it_was() -> None:
    numbers = ["NaN", "+Inf", "-Inf", "1e+09", "1.5E-7", "-0", "1.", ".5", "123456789012345678901234567890"]
    page = read("".join(f"n{index} {number}\n" for index, number in enumerate(numbers)).encode())
    assert list(samples(page).values()) == numbers


@pytest.mark.parametrize("text", ["1e999", "0x10", "1_0", "\u0661", "-nan(ind)", "1,5", "--1", "e5", "."])
def test_what_is_no_number_to_prometheus_is_bad(text: str) -> None:
    page = read(f"a {text}\nb 1\n".encode())
    assert (samples(page), page.bad_lines) == ({"b": "1"}, 1)


def test_a_value_is_that_of_a_family_with_one_finite_sample() -> None:
    page = read(b'a 1.5\nb NaN\nc +Inf\nd{x="1"} 2\ne{x="1"} 3\ne{x="2"} 4\n')
    assert [page.value(name) for name in "abcdef"] == [1.5, None, None, 2, None, None]


def test_the_same_sample_twice_is_kept_once() -> None:
    page = read(b'a 1\na 2\na{} 3\na{x=""} 4\nb{y="1",x="\\q"} 5\nb{x="\\\\q",y="1"} 6\n')
    assert samples(page) == {"a": "1", 'b{x="\\\\q",y="1"}': "5"}
    assert page.bad_lines == 4


def test_what_would_make_prometheus_refuse_the_page_is_left_out_or_loses_its_type() -> None:
    page = read(
        b'a{l="1",l="2"} 1\na{__name__="b"} 2\na 1e999\na 3\n'
        b'# TYPE h histogram\nh_bucket{le="one"} 1\nh_sum 2\n# TYPE s summary\ns{quantile=""} 1\n'
        b'# TYPE good histogram\ngood_bucket{le="+Inf"} 1\ngood_sum 2\ngood_count 1\n'
        b"# TYPE c_total counter\nc_total -1\n# TYPE n_total counter\nn_total NaN\n"
    )
    assert shapes(page) == [
        ("a", "unknown", 1),
        ("h", "unknown", 2),
        ("s", "unknown", 1),
        ("good", "histogram", 3),
        ("c_total", "unknown", 1),
        ("n_total", "unknown", 1),
    ]
    assert page.bad_lines == 3


def test_a_page_cut_anywhere_keeps_what_is_whole() -> None:
    text = (FIXTURES / "new" / "metrics-busy.txt").read_bytes()
    whole = read(text).families.keys()
    first = re.search(rb"^llamacpp:\w+ \d", text, re.MULTILINE)
    assert first is not None
    for end in range(first.end(), len(text)):
        page = read(text[:end])
        assert page.families.keys() <= whole | {text[:end].decode().split("\n")[-1].split(" ")[0]}
        assert page.bad_lines <= 1


def test_a_page_of_a_hundred_thousand_samples_is_read_whole() -> None:
    page = read(b"# TYPE big gauge\n" + b"".join(b'big{n="%d"} %d\n' % (n, n) for n in range(100_000)))
    assert (shapes(page), page.bad_lines) == ([("big", "gauge", 100_000)], 0)


def test_what_is_too_much_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "MAX_SAMPLES", 3)
    assert (read(b"a 1\nb 1\nc 1\nd 1\ne 1\n").bad_lines) == 2
    monkeypatch.setattr(native, "MAX_FAMILIES", 2)
    page = read(b"# TYPE a gauge\n# TYPE b gauge\n# TYPE c gauge\na 1\nb 1\nc 1\n")
    assert (list(page.families), page.bad_lines) == (["a", "b"], 1)
    monkeypatch.setattr(native, "MAX_LINES", 2)
    page = read(b"a 1\nb 1\nc 1\nd 1\n")
    assert (list(page.families), page.bad_lines) == (["a", "b"], 2)


@pytest.mark.parametrize("size", [MAX_LINE, 20 * MIB])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_that_is_too_long_is_bad_and_the_next_is_not(size: int, end: bytes) -> None:
    long = b'a{x="' + b"y" * size + b'"} 1'
    page = read(b"b 1\n" + long + b"\nc 1\n" + long + end)
    assert (samples(page), page.bad_lines) == ({"b": "1", "c": "1"}, 2)
    fits = b'a{x="' + b"y" * (MAX_LINE - 10) + b'"} 1\n'
    assert (len(fits), read(fits).bad_lines) == (MAX_LINE, 0)


PIECES = [b" ", b'x="', b'x="1",', b'x="1" , ', b"\\", b'a="\\', b",", b"\t", b"{", b"}", b"a", b"1", b"9", b"#", b'"']
STARTS = [b"a", b"a{", b'a{x="', b"a ", b"a 1 ", b"a 1 # {", b"# HELP a", b"# TYPE a "]


def cost(body: bytes) -> float:
    """CPU seconds, the least of three."""
    found = []
    for _ in range(3):
        begun = time.process_time()
        read(body)
        found.append(time.process_time() - begun)
    return min(found)


@pytest.mark.parametrize("start", STARTS)
def test_every_line_costs_time_in_proportion_to_its_length(start: bytes) -> None:
    for piece in PIECES:
        lines = {length: start + piece * ((length - len(start)) // len(piece)) + b"\n" for length in (1024, 15 * 1024)}
        short, long = (cost(line * (MIB // len(line)) + b"b 1\n") for line in lines.values())
        # The same MiB: quadratic cost would make it fifteen times as dear, cubic more than two hundred times.
        assert long < 5 * short + 0.05, (start, piece)


@given(NATIVE_PAGES.map(str.encode) | st.binary(max_size=200) | NATIVE_PAGES.map(json.dumps).map(str.encode))
def test_any_bytes_are_a_page_or_an_error(body: bytes) -> None:
    try:
        page = read(body)
    except UpstreamError:
        return
    assert all(family.samples for family in page.families.values())
    assert all(page.value(name) is None or isinstance(page.value(name), float) for name in page.families)
