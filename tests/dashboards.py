"""The committed dashboards as tests look at them: panels, their queries, variables filled in."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parents[1] / "grafana" / "dashboards"

Json = dict[str, Any]

FIXED = {"__rate_interval": "1m", "__range": "1h", "__interval": "15s", "__auto": "1m"}
"""Values of Grafana's own variables."""


class Panel(NamedTuple):
    """A panel of a board, named `board/title`."""

    board: str
    json: Json

    @property
    def name(self) -> str:
        return f"{self.board}/{self.json['title']}"

    @property
    def queries(self) -> list[Json]:
        found: list[Json] = self.json["targets"]
        return found

    @property
    def metrics(self) -> bool:
        """Does it ask Prometheus, not Loki?"""
        return bool(self.json["datasource"]["type"] == "prometheus")


def boards() -> dict[str, Json]:
    """Every board by the name of its file."""
    return {file.stem: json.loads(file.read_text("utf-8")) for file in sorted(FOLDER.glob("*.json"))}


def panels() -> list[Panel]:
    """Every panel of every board, those of collapsed rows too."""
    return [Panel(name, panel) for name, board in boards().items() for panel in _of(board)]


def _of(board: Json) -> Iterator[Json]:
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def variables(board: Json) -> dict[str, Json]:
    """A board's variables by name."""
    return {variable["name"]: variable for variable in board["templating"]["list"]}


def default(variable: Json) -> str:
    """What a variable stands for when nobody has chosen: everything, or the one value that it starts with."""
    if variable["type"] == "datasource":
        return ""
    if variable.get("includeAll"):
        everything: str = variable["allValue"]
        return everything
    chosen: str = variable["current"]["value"]
    return chosen


def fill(query: str, board: Json, **chosen: str) -> str:
    """The query as Grafana sends it with these values, and the defaults of all other variables."""
    values = {**FIXED, **{name: default(variable) for name, variable in variables(board).items()}, **chosen}
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], query)
