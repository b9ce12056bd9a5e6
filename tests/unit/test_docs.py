import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import exporter.metrics.collectors
from docs import generate
from exporter.config import KEYS, START_KEYS, Config, load
from exporter.metrics.definitions import ALL
from exporter.metrics.families import Metric
from exporter.supervisor.states import EDGES
from tests.dashboards import boards
from tests.known_metrics import rules

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text("utf-8")


def test_the_configuration_that_is_shown_is_the_defaults(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", CONFIGURATION, re.DOTALL)
    file = tmp_path / "shown.yml"
    file.write_text(block)
    loaded = load(file, {}, {})
    assert loaded.config == Config()
    named = {key for key, origin in loaded.origins.items() if origin == "file"}
    # null and the alternative to binary are written and come to nothing
    assert set(loaded.origins) - named == {
        *("server.cwd", "server.api_key_file", "server.attach", "server.command"),
        *("web.config_file", "web.control_token_file", "web.grafana_url"),
    }


def test_the_settings_that_need_a_restart_of_the_exporter_are_documented() -> None:
    (sentence,) = re.findall(r"Restart the exporter to change (.*?)\. ", " ".join(CONFIGURATION.split()))
    named = set(re.findall(r"`(\w+\.\w+)`", sentence))
    assert named == {".".join(key.split(".")[:2]) for key in START_KEYS}
    assert {key for key in KEYS if ".".join(key.split(".")[:2]) in named} == set(START_KEYS)


def test_the_counts_of_the_readme_are_right() -> None:
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    assert f"\n{len(alerts)} alerts, each with a runbook" in README
    table = README[README.index("| board |") : README.index(" alerts, each")]
    titles = {board["title"].removeprefix("llama-server / ") for board in boards().values()}
    assert set(re.findall(r"^\| (?!board|---)([^|]+?) \|", table, re.MULTILINE)) == titles


@pytest.mark.parametrize("name", ["README.md", "docs/configuration.md"])
def test_what_is_linked_to_exists(name: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text("utf-8"))
    assert [link for link in links if not ((ROOT / name).parent / link).exists()] == []


def test_the_targets_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z]+)", README)) <= targets


def test_the_list_of_metrics_is_the_catalog() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text("utf-8") == generate.document(), "run: make docs"


def test_every_declared_metric_has_a_collector_and_a_name_of_its_own() -> None:
    declared = [metric.name for metric in ALL]
    assert len(set(declared)) == len(declared)
    of_the_scrape = {"llama_exporter_collector_duration_seconds", "llama_exporter_collector_success"}
    collected = set(of_the_scrape)
    for module in pkgutil.iter_modules(exporter.metrics.collectors.__path__):
        for value in vars(importlib.import_module(f"exporter.metrics.collectors.{module.name}")).values():
            metrics = getattr(value, "metrics", ())
            if isinstance(metrics, tuple):
                collected |= {metric.name for metric in metrics if isinstance(metric, Metric)}
    assert set(declared) == collected


def test_the_drawn_states_are_the_table() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    drawn = set(re.findall(r"^    (\w+) --> (\w+)$", text, re.MULTILINE))
    assert drawn == {(str(before), str(after)) for before, afters in EDGES.items() for after in afters}
