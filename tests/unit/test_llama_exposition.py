import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.llama.exposition import read, with_model
from exporter.metrics.exposition import OPENMETRICS, TEXT, negotiate, render
from exporter.metrics.families import Family, Metric, Sample
from tests.native_pages import PAGES as NATIVE_PAGES
from tests.support import FIXTURES

LABEL_TEXT = st.text(max_size=20).filter(lambda text: "\r" not in text)
PAGES = sorted(FIXTURES.glob("*/metrics-*.txt"))


def samples(page: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample of a page as prometheus_client's parser reads it."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse_text(page)
        for sample in family.samples
    }


@pytest.mark.parametrize("file", PAGES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_a_real_page_comes_out_unchanged_but_for_the_model(file: Path) -> None:
    original = file.read_text("utf-8")
    families, bad = read(original)
    assert bad == 0
    page = render(with_model(families, "tiny"), TEXT).decode()
    assert samples(page) == {
        (name, (*labels, ("model", "tiny"))): value for (name, labels), value in samples(original).items()
    }
    # Bytes, too: names, types, help and digits are llama-server's own.
    assert page.replace('{model="tiny"}', "").replace(" +Inf", " inf") == original.rstrip("\n") + "\n"


@pytest.mark.parametrize("file", PAGES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_openmetrics_of_a_real_page_keeps_every_name(file: Path) -> None:
    original = file.read_text("utf-8")
    page = render(with_model(read(original)[0], "tiny"), OPENMETRICS).decode()
    names = {sample.name for family in parse_openmetrics(page) for sample in family.samples}
    assert names == set(re.findall(r"^(llamacpp:\w+)", original, re.MULTILINE))


def test_good_families_survive_bad_lines() -> None:
    families, bad = read(
        '# TYPE a counter\na 1\nb{ 2\nc -nan(ind)\n\x00\xff\nd{x="1",} 1e3 1700000000\n# TYPE e nonsense\ne 2'
    )
    assert {family.name: family.samples[0].value for family in families} == {"a": "1", "d": "1e3", "e": "2"}
    assert bad == 4


def test_histograms_stay_together_and_own_model_labels_stay() -> None:
    text = (
        '# TYPE h histogram\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 3\nh_sum 4.5\nh_count 3\n'
        '# TYPE g gauge\ng{model="theirs",s="a\\"b\\\\\\n"} 1\n'
    )
    families, bad = read(text)
    assert bad == 0
    assert [(family.name, len(family.samples)) for family in families] == [("h", 4), ("g", 1)]
    page = render(with_model(families, "ours"), TEXT).decode()
    assert 'g{model="theirs",s="a\\"b\\\\\\n"} 1' in page
    assert 'h_bucket{le="1",model="ours"} 2' in page


def test_openmetrics_is_read_as_well() -> None:
    text = (
        "# TYPE foo counter\n# HELP foo Foos.\nfoo_total 17.0 1520879607.789\n"
        '# TYPE bar histogram\nbar_bucket{le="0.1"} 8 # {trace_id="a # b"} 0.05 1520879607.789\n'
        'bar_bucket{le="+Inf"} 9 # {} 3\nbar_sum 3\nbar_count 9\n'
        '# UNIT bar seconds\n# TYPE i info\ni_info{v="1"} 1\n# EOF\n'
    )
    families, bad = read(text)
    assert bad == 0
    assert [(family.name, family.kind, len(family.samples)) for family in families] == [
        ("foo_total", "counter", 1),
        ("bar", "histogram", 4),
        ("i_info", "unknown", 1),
    ]
    assert families[0].samples[0].value == "17.0"
    list(parse_text(render(with_model(families, "m"), TEXT).decode()))


def test_every_number_that_the_format_knows_comes_back_as_it_was() -> None:
    numbers = ["NaN", "+Inf", "-Inf", "1e+09", "1.5E-7", "-0", "1.", ".5", "123456789012345678901234567890"]
    text = "".join(f"n{index} {number}\n" for index, number in enumerate(numbers))
    page = render(read(text)[0], TEXT).decode()
    assert [line.split()[1] for line in page.splitlines() if not line.startswith("#")] == numbers


def test_a_page_of_a_hundred_thousand_samples_is_read_whole() -> None:
    text = "# TYPE big gauge\n" + "".join(f'big{{n="{n}"}} {n}\n' for n in range(100_000))
    (family,), bad = read(text)
    assert (len(family.samples), bad) == (100_000, 0)
    assert render(with_model([family], "m"), TEXT).count(b'model="m"') == 100_000


def test_a_page_cut_anywhere_keeps_what_is_whole() -> None:
    text = (FIXTURES / "new" / "metrics-busy.txt").read_text("utf-8")
    whole = {family.name for family in read(text)[0]}
    for end in range(len(text)):
        families, bad = read(text[:end])
        assert {family.name for family in families} <= whole | {text[:end].split("\n")[-1].split(" ")[0]}
        assert bad <= 1
        list(parse_text(render(with_model(families, "m"), TEXT).decode()))


@given(NATIVE_PAGES | st.text(alphabet='ab_:{}="\\\n ,#+-.0123456789eTYPEHLinf', max_size=200))
def test_any_text_gives_a_page_that_parses(text: str) -> None:
    families, _ = read(text)
    list(parse_text(render(with_model(families, 'm"\\\n'), TEXT).decode()))


def test_what_would_make_prometheus_refuse_the_page_is_left_out_or_loses_its_type() -> None:
    text = (
        'a{l="1",l="2"} 1\na{__name__="b"} 2\na 1e999\na 3\n'
        '# TYPE h histogram\nh_bucket{le="one"} 1\nh_sum 2\n# TYPE s summary\ns{quantile=""} 1\n'
        '# TYPE good histogram\ngood_bucket{le="+Inf"} 1\ngood_sum 2\ngood_count 1\n'
    )
    families, bad = read(text)
    assert [(family.name, family.kind, len(family.samples)) for family in families] == [
        ("a", "unknown", 1),
        ("h", "unknown", 2),
        ("s", "unknown", 1),
        ("good", "histogram", 3),
    ]
    assert bad == 3


@given(st.dictionaries(st.tuples(LABEL_TEXT), st.floats(allow_nan=False), max_size=5))
def test_our_own_families_come_back_as_they_were(values: dict[tuple[str], float]) -> None:
    family = Metric("x_total", "counter", "Help \\ with\nbreaks", ("label",)).family(values)
    page = render([family], TEXT).decode("utf-8")
    found = {key: value for (_, ((_, key),)), value in samples(page).items()} if values else {}
    assert found == {key: value for (key,), value in values.items()}


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


def test_slots_of_all_builds_tell_the_running_request() -> None:
    from exporter.llama.slots import read as read_slots  # noqa: PLC0415 -- the name is taken above

    found = {
        build: read_slots(json.loads((FIXTURES / build / "slots-busy.json").read_text()))
        for build in ("old", "mid", "new")
    }
    assert {build: len(slots) for build, slots in found.items()} == {"old": 1, "mid": 1, "new": 1}
    new = found["new"][0]
    assert (new.task, new.generated, new.prompt_processed, new.prompt_cached) == (93, 1236, 9, 2)
    assert (found["old"][0].task, found["old"][0].generated, found["old"][0].prompt_processed) == (93, 1652, None)
    with pytest.raises(ValueError, match="not a list"):
        read_slots({"error": {}})
