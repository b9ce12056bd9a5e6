"""Every PromQL of every panel and every rule on data of a real llama-server, not only on paper."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.dashboards import Json, boards, fill, panels
from tests.known_metrics import known, rules
from tests.live.history import History, recorded
from tests.live.stand_in import series
from tests.nvml.stub import Stub

BOARDS = boards()
MACHINE = "not every machine has it: readable energy of CPUs, a container's limits, GPUs that tell whose work they do"
FEATURE = "nothing of it happens here: speculative decoding, a load that fails, a prompt that takes seconds"
QUIET = "no alert fires"

ABSENT: dict[str, dict[str, str]] = {
    QUIET: {
        "overview/Alerts": "A",
    },
    FEATURE: {
        "server/Speculation accepted": "A",
        "server/Prompts being processed": "A",
        "models/Models": "H",
    },
    MACHINE: {
        "hardware/Power of CPUs": "A",
        "hardware/Memory of the container": "B",
        "hardware/CPU limit": "A",
        "models/Tokens per joule of each model": "A",
    },
}
"""What the real server cannot show here, by reason and panel: letters of its queries. The stand-in answers those."""


class Query(NamedTuple):
    """One query of a panel."""

    panel: str
    board: Json
    json: Json

    @property
    def name(self) -> str:
        return f"{self.panel} {self.json['refId']}"

    @property
    def absent(self) -> str | None:
        """Why the real server cannot answer it here."""
        reasons = (reason for reason, names in ABSENT.items() if self.json["refId"] in names.get(self.panel, ""))
        return next(reasons, None)

    def run(self, history: History, job: str) -> list[dict[str, Any]]:
        """What it returns for this job, as Grafana would ask."""
        text = fill(self.json["expr"], self.board, job=job, __rate_interval="15s", __range="1m", window="1h")
        return history.instant(text) if self.json["instant"] else history.range(text)


QUERIES = [
    Query(panel.name, BOARDS[panel.board], query) for panel in panels() if panel.metrics for query in panel.queries
]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory, libnvidia_ml: Path) -> Iterator[History]:
    folder = tmp_path_factory.mktemp("history")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LD_LIBRARY_PATH", str(libnvidia_ml.parent))
        patch.setenv("NVML_STUB", str(folder / "nvml"))
        with recorded(folder, Stub(folder / "nvml")) as found:
            yield found


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_a_panel_shows_something(history: History, query: Query) -> None:
    if query.absent is None:
        assert query.run(history, "llama"), f"no data for {query.json['expr']}"
    else:
        assert query.run(history, ".*"), f"no data even of the stand-in for {query.json['expr']}"
        if query.absent not in (MACHINE, QUIET):
            assert not query.run(history, "llama"), "it has data now: delete it from ABSENT"


def test_what_is_called_absent_is_a_query() -> None:
    named = {f"{panel} {letter}" for names in ABSENT.values() for panel, letters in names.items() for letter in letters}
    assert named <= {query.name for query in QUERIES}


@pytest.mark.parametrize("name", BOARDS)
def test_pickers_offer_something(history: History, name: str) -> None:
    for variable in BOARDS[name]["templating"]["list"]:
        if variable["type"] == "query" and variable["datasource"]["type"] == "prometheus":
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert found
            assert history.instant(f"count by ({found[2]}) ({fill(found[1], BOARDS[name])})")


@pytest.mark.parametrize("name", BOARDS)
def test_marks_are_found(history: History, name: str) -> None:
    for mark in BOARDS[name]["annotations"]["list"]:
        assert history.range(fill(mark["expr"], BOARDS[name])), mark["name"]


def test_every_rule_works(history: History) -> None:
    loaded = [rule for group in history.api("rules")["groups"] for rule in group["rules"]]
    assert len(loaded) == len(rules())
    assert {rule["name"]: rule.get("lastError") for rule in loaded if rule["health"] != "ok"} == {}


@pytest.mark.parametrize("record", sorted({rule["record"] for rule in rules() if "record" in rule}))
def test_every_recording_rule_records(history: History, record: str) -> None:
    assert history.instant(record)


def test_alerts_fire_on_what_is_wrong_and_on_nothing_else(history: History) -> None:
    assert history.range('ALERTS{job="llama",alertstate="firing"}') == []
    assert {one["metric"]["alertname"] for one in history.instant('ALERTS{job="stand-in"}')} >= {
        *("GPUTemperatureHigh", "GPUThrottling", "GPUXidError"),
    }


def test_the_stand_in_keeps_to_the_catalog() -> None:
    for name, labels in series():
        assert set(re.findall(r'(\w+)="', labels)) | {"job", "instance"} == known()[name], name
