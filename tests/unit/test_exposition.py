"""The page that Prometheus gets: families of our own and of llama-server in both formats."""

import re
import shutil
import subprocess
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.llama.api import UpstreamError
from exporter.llama.native import NativePage, read
from exporter.metrics.collectors.native import merge, with_model
from exporter.metrics.definitions import ALL
from exporter.metrics.exposition import OPENMETRICS, TEXT, negotiate, occupied, render
from exporter.metrics.families import Family, Kind, Metric, Sample
from exporter.web.metrics import page_body
from tests.native_pages import PAGES as NATIVE_PAGES
from tests.support import FIXTURES

LABEL_TEXT = st.text(max_size=20).filter(lambda text: "\r" not in text)
PAGES = sorted(FIXTURES.glob("*/metrics-*.txt"))
NATIVE_BAD_LINES = "llama_exporter_native_bad_lines"
MIB = 1024 * 1024


def samples(page: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample of a page as prometheus_client's parser reads it."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse_text(page)
        for sample in family.samples
    }


def native(pages: dict[str, bytes]) -> list[Family]:
    """What the collector makes of llama-server's pages, by model."""
    return merge({model: with_model(read(body), model) for model, body in pages.items()})


def foreign(pages: dict[str, bytes]) -> str:
    """The same as text, without the count of bad lines."""
    return render([family for family in native(pages) if family.rendered], TEXT).decode()


def bad_lines(families: list[Family]) -> dict[str, float]:
    (family,) = (family for family in families if family.name == NATIVE_BAD_LINES)
    return {sample.labels[0][1]: sample.value for sample in family.samples}


def ours() -> list[Family]:
    """A sample of each of our own metrics but the one that the native collector gives, and histograms."""
    return [
        Family(metric.name, metric.kind, metric.help, [Sample("", (("l", "v"),), 1)])
        for metric in ALL
        if metric.kind != "histogram" and metric.name != NATIVE_BAD_LINES
    ]


def check(families: list[Family], *, promtool: bool = True) -> None:
    """Fail unless strict parsers of both formats take the page, and no sample is on it twice."""
    text, openmetrics = (render(families, content_type).decode() for content_type in (TEXT, OPENMETRICS))
    list(parse_text(text))
    list(parse_openmetrics(openmetrics))
    lines = [line.rpartition(" ")[0] for line in text.split("\n")[:-1] if not line.startswith("#")]
    assert len(set(lines)) == len(lines)
    assert sorted(lines) == sorted(
        line.rpartition(" ")[0] for line in openmetrics.split("\n")[:-1] if not line.startswith("#")
    )
    if promtool and (tool := shutil.which("promtool")):
        done = subprocess.run([tool, "check", "metrics"], input=text.encode(), capture_output=True, check=False)
        assert done.returncode in (0, 3), done.stderr  # 3: it would rather see it otherwise


@pytest.mark.parametrize("file", PAGES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_a_real_page_comes_out_unchanged_but_for_the_model(file: Path) -> None:
    original = file.read_text("utf-8")
    page = foreign({"tiny": file.read_bytes()})
    assert samples(page) == {
        (name, (*labels, ("model", "tiny"))): value for (name, labels), value in samples(original).items()
    }
    # Bytes, too: names, types, help and digits are llama-server's own.
    assert page.replace('{model="tiny"}', "").replace(" +Inf", " inf") == original.rstrip("\n") + "\n"


@pytest.mark.parametrize("file", PAGES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_openmetrics_of_a_real_page_keeps_every_name(file: Path) -> None:
    page = render(native({"tiny": file.read_bytes()}), OPENMETRICS).decode()
    names = {sample.name for family in parse_openmetrics(page) for sample in family.samples}
    assert names == {NATIVE_BAD_LINES, *re.findall(r"^(llamacpp:\w+)", file.read_text("utf-8"), re.MULTILINE)}


def test_a_model_label_of_its_own_stays() -> None:
    page = foreign(
        {
            "ours": b'# TYPE h histogram\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 3\nh_sum 4.5\nh_count 3\n'
            b'# TYPE g gauge\ng{model="theirs",s="a\\"b\\\\\\n"} 1\n'
        }
    )
    assert 'g{model="theirs",s="a\\"b\\\\\\n"} 1' in page
    assert 'h_bucket{le="1",model="ours"} 2' in page
    assert "# TYPE h histogram" in page


def test_models_share_the_head_of_a_family() -> None:
    page = foreign({"a": b"# HELP x Help.\n# TYPE x gauge\nx 1\ny 2\n", "b": b"# HELP x Other.\n# TYPE x gauge\nx 3\n"})
    assert page == (
        '# HELP x Help.\n# TYPE x gauge\nx{model="a"} 1\nx{model="b"} 3\n# TYPE y untyped\ny{model="a"} 2\n'
    )


@pytest.mark.parametrize(
    ("first", "second", "bad"),
    [
        (b"# TYPE x counter\nx 1\n", b"# TYPE x gauge\nx 2\ny 1\n", 1),
        (b"# TYPE x_total counter\nx_total 1\n", b"# TYPE x gauge\nx 2\ny 1\n", 1),
        (b'# TYPE x histogram\nx_bucket{le="+Inf"} 1\nx_sum 1\nx_count 1\n', b"x_count 2\ny 1\n", 1),
        (b'x{model="m"} 1\n', b'x{model="m"} 2\ny 1\n', 1),
        (b"x 1\n", b'x{model="a"} 2\nx{model="c"} 2\ny 1\n', 2),
        (b'x{model="b"} 1\n', b"x 2\ny 1\n", 1),
    ],
)
def test_what_contradicts_another_model_is_left_out(first: bytes, second: bytes, bad: int) -> None:
    families = native({"a": first, "b": second})
    check(families)
    assert bad_lines(families) == {"a": 0, "b": bad}
    page = foreign({"a": first, "b": second})
    assert 'y{model="b"} 1' in page
    assert foreign({"a": first}).rstrip("\n") in page


def test_what_contradicts_the_same_page_is_left_out() -> None:
    families = native({"m": b'# TYPE a_total counter\na_total 1\na 2\nb{l="1",model="m"} 1\nb{l="1"} 2\nb{l="2"} 3\n'})
    check(families)
    assert bad_lines(families) == {"m": 2}
    assert 'b{l="1",model="m"} 1' in render(families, TEXT).decode()


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_names_of_our_own_are_ours(metric: Metric) -> None:
    for name in sorted(occupied(metric.name, metric.kind)):
        families = native({"m": f"# TYPE {name} histogram\n{name} 5\nother 1\n".encode()})
        assert bad_lines(families)["m"] == 1
        assert 'other{model="m"} 1' in render(families, TEXT).decode()


@given(st.dictionaries(st.sampled_from(["a", "b", 'm"\\\n', "m"]), NATIVE_PAGES, min_size=1))
def test_whatever_models_answer_the_page_parses(texts: dict[str, str]) -> None:
    pages: dict[str, NativePage] = {}
    for model, text in texts.items():
        try:
            pages[model] = read(text.encode())
        except UpstreamError:
            continue
    native_families = merge({model: with_model(page, model) for model, page in pages.items()})
    check([*ours(), *native_families], promtool=False)


@given(st.dictionaries(st.tuples(LABEL_TEXT), st.floats(min_value=0, allow_infinity=False), max_size=5))
def test_our_own_families_come_back_as_they_were(values: dict[tuple[str], float]) -> None:
    family = Metric("x_total", "counter", "Help \\ with\nbreaks", ("label",)).family(values)
    page = render([family], TEXT).decode("utf-8")
    found = {key: value for (_, ((_, key),)), value in samples(page).items()} if values else {}
    assert found == {key: value for (key,), value in values.items()}


@pytest.mark.parametrize("kind", ["counter", "gauge", "histogram", "info", "stateset", "unknown"])
@given(st.lists(st.floats() | st.integers() | st.sampled_from([10**400, -(10**400), True]), max_size=4))
def test_no_value_of_our_own_breaks_the_page(kind: Kind, values: list[float]) -> None:
    name = {"counter": "x_total", "info": "x_info"}.get(kind, "x")
    suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
    families = [
        Family(name, kind, "h", [Sample(suffix, (("n", str(number)), ("le", "+Inf")), value) for suffix in suffixes])
        for number, value in enumerate(values)
    ]
    text = render(families, TEXT).decode()
    lowest = 0 if kind in ("counter", "histogram") else -1.8e308
    assert all(lowest <= value < float("inf") for value in samples(text).values())
    if kind not in ("info", "histogram"):
        list(parse_openmetrics(render(families, OPENMETRICS).decode()))


def test_bytes_of_a_file_name_that_are_no_text_are_replaced() -> None:
    page = render([Family("a", "gauge", "", [Sample("", (("mountpoint", "/m\udcff"),), 1)])], TEXT)
    assert page == b'# TYPE a gauge\na{mountpoint="/m?"} 1\n'


def test_families_of_one_name_are_merged_under_one_head() -> None:
    page = render(
        [Family("a", "gauge", "h", [Sample("", (("m", x),), 1.0)]) for x in "xy"] + [Family("b", "gauge", "", [])], TEXT
    ).decode()
    assert page == '# HELP a h\n# TYPE a gauge\na{m="x"} 1\na{m="y"} 1\n'


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/plain;version=0.0.4", TEXT),
        # Prometheus 2.42 and 3.x as they send it
        (
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,*/*;q=0.1",
            OPENMETRICS,
        ),
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=1.0.0;q=0.4,*/*;q=0.1",
            OPENMETRICS,
        ),
        ("application/openmetrics-text;q=0,text/plain", TEXT),
        ("application/openmetrics-textual", TEXT),
    ],
)
def test_negotiation(accept: str, content_type: str) -> None:
    assert negotiate(accept) == content_type


def test_a_page_of_a_hundred_thousand_samples_takes_little_memory() -> None:
    body = b"".join(b'llamacpp:family{number="%09d",text="%040d"} %d\n' % (n, n, n) for n in range(100_000))
    assert 8 * MIB < len(body) < 10 * MIB
    long = b'a{x="' + b"y" * 20 * MIB + b'"} 1\nb 1\n'
    tracemalloc.start()
    try:
        page = read(body)
        families = merge({"m": with_model(page, "m")})
        assert families[0].size == 100_000
        assert len(page_body(families, TEXT, compressed=True)) < MIB
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        read(long)
        more = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak < 60 * MIB
    assert more < MIB
