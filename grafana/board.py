"""A whole board: rows of panels laid out, variables, links to the other boards, annotations."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from grafana.queries import PROMETHEUS, SERVER, Json

TAG = "llama-server"
COLUMNS = 24


@dataclass(frozen=True)
class Row:
    """Panels under a heading, from left to right. `collapsed` is for what not everybody has."""

    title: str
    panels: Sequence[Json]
    collapsed: bool = False


def _marks(name: str, expr: str, title: str, color: str, *, at_value: bool = False) -> Json:
    """Marks where the query has a value above 0; with `at_value` at the time in milliseconds that the value is."""
    return {
        "datasource": PROMETHEUS,
        "enable": True,
        "expr": expr,
        "hide": False,
        "iconColor": color,
        "name": name,
        "step": "60s",
        "titleFormat": title,
        "useValueForTime": at_value,
    }


def alerts(selector: str) -> Json:
    """Marks while an alert fires."""
    expr = f'ALERTS{{alertstate="firing",alertname!="Watchdog",{selector}}}'
    return _marks("Alerts", expr, "{{alertname}} {{instance}} {{model}}", "red")


def starts() -> Json:
    """A mark at each start of llama-server."""
    expr = f"llama_server_start_time_seconds{{{SERVER}}} * 1000"
    return _marks("Starts of llama-server", expr, "llama-server started: {{instance}}", "blue", at_value=True)


def loads() -> Json:
    """A mark at each load of a model."""
    expr = f"changes(llama_model_loads_total{{{SERVER}}}[1m]) > 0"
    return _marks("Model loads", expr, "{{model}} {{result}}: {{instance}}", "purple")


def board(
    uid: str,
    title: str,
    description: str,
    variables: Sequence[Json],
    rows: Sequence[Row],
    *,
    annotations: Sequence[Json] = (),
    span: str = "now-1h",
) -> Json:
    """The dashboard. `span` is the time range that it opens with."""
    return {
        "annotations": {"list": list(annotations)},
        "description": description,
        "editable": True,
        "graphTooltip": 1,
        "links": [
            {
                "asDropdown": False,
                "icon": "external link",
                "includeVars": True,
                "keepTime": True,
                "tags": [TAG],
                "targetBlank": False,
                "title": "",
                "type": "dashboards",
            }
        ],
        "panels": _lay_out(rows),
        "refresh": "15s",
        "schemaVersion": 39,
        "tags": [TAG],
        "templating": {"list": list(variables)},
        "time": {"from": span, "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "title": title,
        "uid": uid,
    }


def _lay_out(rows: Sequence[Row]) -> list[Json]:
    """Give every panel a place, and an id that stays the same while its title does."""
    placed: list[Json] = []
    top = 0
    for row in rows:
        heading = {
            "collapsed": row.collapsed,
            "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": top},
            "id": _id(row.title),
            "panels": [],
            "title": row.title,
            "type": "row",
        }
        left, top, tallest = 0, top + 1, 0
        inside: list[Json] = []
        for panel in row.panels:
            width, height = panel["gridPos"]["w"], panel["gridPos"]["h"]
            if left + width > COLUMNS:
                left, top, tallest = 0, top + tallest, 0
            grid = {"h": height, "w": width, "x": left, "y": top}
            inside.append({**panel, "gridPos": grid, "id": _id(f"{row.title}/{panel['title']}")})
            left, tallest = left + width, max(tallest, height)
        top += tallest
        heading["panels"] = inside if row.collapsed else []
        placed += [heading] if row.collapsed else [heading, *inside]
    return placed


def _id(name: str) -> int:
    return zlib.crc32(name.encode()) & 0x7FFFFFFF
