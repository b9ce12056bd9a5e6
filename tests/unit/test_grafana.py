import re
from collections import Counter
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest

from exporter.metrics.definitions import ALL
from exporter.usage.histograms import FIRST_TOKEN, PER_TOKEN
from grafana.__main__ import stale
from grafana.links import RUNBOOKS
from tests.dashboards import Json, Panel, boards, fill, panels, variables
from tests.known_metrics import known, rules
from tests.promql import labels_of, selectors

BOARDS = boards()
PANELS = panels()
METRIC_PANELS = [panel for panel in PANELS if panel.metrics]
METRICS = known()
NOT_FILTERED = {"alert:llama_threshold:value"}
UNITS = set(
    "short percentunit s bytes Bps watt joule celsius hertz ops reqps cps tok/s dtdurations".split()  # noqa: SIM905
)


def named(panel: Panel) -> str:
    return panel.name


def sources_of(name: str) -> set[str]:
    """The scraped metrics behind a name: those of the rule that records it, and of the rules behind that."""
    for rule in rules():
        if rule.get("record") == name:
            return {found for used, _ in selectors(rule["expr"]) for found in sources_of(used)}
    return {re.sub(r"_(bucket|sum|count)$", "", name)}


def test_the_json_is_what_the_code_makes() -> None:
    assert stale() == [], "run `make dashboards` and commit the result"


def test_stale_json_is_found(tmp_path: Path) -> None:
    (tmp_path / "left-over.json").write_text("{}")
    assert stale(tmp_path) == sorted([*(f"{name}.json" for name in BOARDS), "left-over.json"])


@pytest.mark.parametrize("panel", METRIC_PANELS, ids=named)
def test_a_query_asks_for_metrics_that_exist_and_its_legend_for_labels_it_has(panel: Panel) -> None:
    for query in panel.queries:
        labels = labels_of(fill(query["expr"], BOARDS[panel.board]), METRICS)
        assert set(re.findall(r"\{\{(\w+)\}\}", query["legendFormat"])) <= labels


@pytest.mark.parametrize("panel", METRIC_PANELS, ids=named)
def test_a_query_obeys_every_picker_that_its_metric_knows(panel: Panel) -> None:
    pickers = {"job", "instance", "model", "gpu"} & set(variables(BOARDS[panel.board]))
    for query in panel.queries:
        for name, matchers in selectors(fill_none(query["expr"])):
            if name in NOT_FILTERED:
                continue
            wanted = pickers & METRICS[name] - ({"model"} if name == "ALERTS" else set())
            obeyed = {label for label, value in matchers.items() if re.search(rf"\${label}\b", value)}
            assert wanted <= obeyed, f"{name} does not follow {wanted - obeyed}"


def fill_none(query: str) -> str:
    """The query with its pickers left in its label values, parseable elsewhere."""
    return re.sub(r"\[\$\w+\]", "[1h]", query).replace("$objective", "0.99")


@pytest.mark.parametrize("panel", METRIC_PANELS, ids=named)
def test_a_description_names_the_metrics(panel: Panel) -> None:
    used = {name for query in panel.queries for name, _ in selectors(fill(query["expr"], BOARDS[panel.board]))}
    behind = {found for name in used - NOT_FILTERED for found in sources_of(name)}
    described = set(re.findall(r"[\w:]+", panel.json["description"]))
    assert behind <= {name.rstrip(":") for name in described}


@pytest.mark.parametrize("panel", PANELS, ids=named)
def test_a_panel_has_a_unit_a_legend_and_words_for_nothing(panel: Panel) -> None:
    defaults = panel.json["fieldConfig"]["defaults"]
    assert defaults["unit"] in UNITS
    assert defaults["noValue"] not in ("", "No data")
    assert panel.json["description"].endswith(".") or panel.json["description"].endswith(")")
    if panel.json["type"] not in ("table", "logs"):
        assert all(query["legendFormat"] for query in panel.queries)


def test_a_panel_of_what_only_nvidia_tells_does_not_say_that_there_is_no_gpu() -> None:
    only = {metric.name for metric in ALL if "NVIDIA only." in metric.help}
    found = {
        panel.name: panel.json["fieldConfig"]["defaults"]["noValue"]
        for panel in METRIC_PANELS
        if panel.json["type"] != "table" and only & {name for query in panel.queries for name in names(panel, query)}
    }
    assert found
    assert {name: words for name, words in found.items() if "NVIDIA" not in words} == {}


def names(panel: Panel, query: Json) -> set[str]:
    return {name for name, _ in selectors(fill(query["expr"], BOARDS[panel.board]))}


@pytest.mark.parametrize("panel", METRIC_PANELS, ids=named)
def test_a_ratio_has_no_zero_below_the_line(panel: Panel) -> None:
    for query in panel.queries:
        for denominator in re.findall(r" / (?!on )(\S.{0,12})", query["expr"]):
            assert denominator.startswith("(") or "llama_host_cpus" in query["expr"], query["expr"]


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_loads_in_every_grafana(name: str) -> None:
    board = BOARDS[name]
    assert board["schemaVersion"] == 39
    assert board["uid"].startswith("llama-")
    everything = [panel.json for panel in PANELS if panel.board == name]
    assert {panel["type"] for panel in everything} <= {
        *("bargauge", "heatmap", "logs", "stat", "state-timeline", "table", "timeseries")
    }
    ids = Counter(panel["id"] for panel in [*everything, *board["panels"]] if panel not in everything)
    ids += Counter(panel["id"] for panel in everything)
    assert max(ids.values()) == 1
    sources = {panel["datasource"]["uid"] for panel in everything}
    sources |= {query["datasource"]["uid"] for panel in everything for query in panel["targets"]}
    assert sources <= {"${datasource}", "${loki}"}


@pytest.mark.parametrize("name", BOARDS)
def test_panels_lie_side_by_side_and_not_on_each_other(name: str) -> None:
    taken: Counter[tuple[int, int]] = Counter()
    for panel in BOARDS[name]["panels"]:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        taken.update(
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        )
    assert max(taken.values()) == 1


@pytest.mark.parametrize("name", BOARDS)
def test_every_picker_is_used_and_every_variable_exists(name: str) -> None:
    board = BOARDS[name]
    rest = str(board["panels"]) + str(board["annotations"]) + str([v.get("query") for v in board["templating"]["list"]])
    used = set(re.findall(r"\$\{?(\w+)", rest)) - {
        *("__rate_interval", "__range", "__auto", "__data", "__field", "__url_time_range", "__value")
    }
    assert used - {"datasource", "loki"} == set(variables(board)) - {"datasource", "loki"}
    assert used <= set(variables(board))


@pytest.mark.parametrize("name", BOARDS)
def test_pickers_and_marks_ask_for_what_exists(name: str) -> None:
    board = BOARDS[name]
    for variable in variables(board).values():
        if variable["type"] == "query" and variable["datasource"]["type"] == "prometheus":
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert found
            assert found[2] in labels_of(fill(found[1], board), METRICS)
            assert (variable["includeAll"], variable["multi"], variable["current"]) == (True, True, {})
    for mark in board["annotations"]["list"]:
        labels = labels_of(fill(mark["expr"], board), METRICS)
        assert set(re.findall(r"\{\{(\w+)\}\}", mark["titleFormat"])) <= labels


def links(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["url"]} if isinstance(node.get("url"), str) else set()
        return own.union(*(links(value) for value in node.values()))
    return set().union(*(links(value) for value in node)) if isinstance(node, list) else set()


def test_links_lead_to_boards_and_their_pickers_and_to_the_exporter_and_to_runbooks() -> None:
    by_uid = {board["uid"]: board for board in BOARDS.values()}
    found = {name: links(board) for name, board in BOARDS.items()}
    for url in set().union(*found.values()):
        if url.startswith("/d/"):
            target = by_uid[url.removeprefix("/d/").partition("?")[0]]
            set_there = set(re.findall(r"var-(\w+)=", url)) | set(re.findall(r"\$\{(\w+):queryparam\}", url))
            assert set_there <= set(variables(target)), url
        else:
            assert url.startswith(("http://${__", RUNBOOKS)), url
    assert any("/d/llama-logs" in url for name in ("overview", "server", "models", "hardware") for url in found[name])
    assert any("/d/llama-server" in url for url in found["logs"])
    assert "http://${__data.fields.Instance}/" in found["overview"] & found["server"] & found["models"]


def test_titles_are_not_used_twice() -> None:
    assert [name for name, times in Counter(panel.name for panel in PANELS).items() if times > 1] == []


@pytest.mark.parametrize("panel", METRIC_PANELS, ids=named)
def test_a_link_takes_what_its_series_have(panel: Panel) -> None:
    taken = set(re.findall(r"__field\.labels\.(\w+)", str(panel.json["fieldConfig"])))
    for query in panel.queries:
        if "{{" in query["legendFormat"]:
            assert taken <= labels_of(fill(query["expr"], BOARDS[panel.board]), METRICS)


LOG_QUERIES = [query["expr"] for panel in PANELS if not panel.metrics for query in panel.queries]


@pytest.mark.parametrize("query", LOG_QUERIES)
def test_a_query_of_the_log_bears_lines_without_the_field(query: str) -> None:
    """As Loki 3.7 was seen to do it: what is compared as a number has to be there, and `x=~"a|"` finds no absence."""
    for field in re.findall(r"\| (\w+) > |unwrap (\w+)", query):
        (name,) = filter(None, field)
        assert f'| {name} != "" |' in query
    assert not re.search(r'=~"[^"]*\|"', query)


def test_slo_pickers_offer_exact_bounds() -> None:
    pickers = variables(BOARDS["slo"])
    for name, histogram in (("first_token", FIRST_TOKEN), ("per_token", PER_TOKEN)):
        assert [option["value"] for option in pickers[name]["options"]] == [repr(bound) for bound in histogram]


def test_every_promql_is_a_vector_or_a_number_for_panels() -> None:
    for panel in METRIC_PANELS:
        for query in panel.queries:
            parsed = promql.parse(fill(query["expr"], BOARDS[panel.board]))
            assert not isinstance(parsed, promql.MatrixSelector | promql.StringLiteral)
