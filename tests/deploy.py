"""The files of deployment as they are written, for the tests that hold them against each other."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
BASE = "docker-compose.yml"
OVERRIDES = tuple(sorted(path.name for path in ROOT.glob("compose.*.yml")))


class ComposeLoader(yaml.SafeLoader):
    """YAML with the tags of Compose, whose values stand for themselves."""


def _untagged(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node)
    return None


for _tag in ("!reset", "!override"):
    ComposeLoader.add_constructor(_tag, _untagged)


def read(name: str) -> Any:
    """A YAML file of the project."""
    return yaml.load((ROOT / name).read_text("utf-8"), ComposeLoader)  # noqa: S506 -- it is a safe loader


STACK = read(BASE)
SERVICES: dict[str, dict[str, Any]] = STACK["services"]

ELSEWHERE = {
    "prometheus": ("prometheus.yml", "rules"),
    "alertmanager": ("alertmanager.yml",),
    "grafana/dashboards": ("overview.json",),
}
"""Folders that are mounted but not written here, and what the stack relies on in them."""

PORTS = {
    "exporter": 9842,
    "prometheus": 9090,
    "alertmanager": 9093,
    "loki": 3100,
    "alloy": 12345,
    "docker-proxy": 2375,
    "grafana": 3000,
}
"""Where each service listens inside the network."""


def without_comments(name: str) -> str:
    """The text of a YAML or Alloy file, its comments cut out."""
    marker = "//" if name.endswith(".alloy") else "#"
    return re.sub(rf"(^|\s){marker}.*", "", (ROOT / name).read_text("utf-8"))


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """Source by target of a service's mounts."""
    pairs = [re.fullmatch(r"(\$\{[^}]*\}|[^:]+):([^:]+)(?::ro)?", volume) for volume in service.get("volumes", [])]
    return {pair[2]: pair[1] for pair in pairs if pair}
