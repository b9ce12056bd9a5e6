"""Panels. Every one has a unit, a description that names its metrics, and words for when there is nothing to show."""

from collections.abc import Mapping, Sequence
from typing import Any

from grafana.queries import THRESHOLD, Json, now

GREEN, YELLOW, ORANGE, RED, BLUE, GREY = "green", "yellow", "orange", "red", "blue", "text"

Steps = Sequence[tuple[float | None, str]]
NEUTRAL: Steps = ((None, BLUE),)
"""A number that is neither good nor bad."""

COLORS = {
    **dict.fromkeys(("ready", "loaded"), GREEN),
    **dict.fromkeys(("starting", "loading", "downloading"), YELLOW),
    **dict.fromkeys(("backoff", "stopping"), ORANGE),
    **dict.fromkeys(("unresponsive", "failed"), RED),
    "sleeping": "purple",
}


def panel(  # noqa: PLR0913 -- what every panel has to say
    kind: str,
    title: str,
    description: str,
    queries: Sequence[Json],
    *,
    unit: str,
    width: int,
    height: int,
    empty: str,
    steps: Steps = NEUTRAL,
    options: Json | None = None,
    custom: Json | None = None,
    **defaults: Any,
) -> Json:
    """A panel of any kind. `empty` is shown when there is no data, `steps` are (from this value on, color)."""
    return {
        "datasource": queries[0]["datasource"],
        "description": description,
        "fieldConfig": {
            "defaults": {
                "color": {"mode": "thresholds"},
                "custom": custom or {},
                "links": [],
                "mappings": [],
                "noValue": empty,
                "thresholds": {"mode": "absolute", "steps": [{"value": v, "color": c} for v, c in steps]},
                "unit": unit,
                **defaults,
            },
            "overrides": [],
        },
        "gridPos": {"w": width, "h": height},
        "options": options or {},
        "targets": [{**query, "refId": chr(ord("A") + at)} for at, query in enumerate(queries)],
        "title": title,
        "type": kind,
    }


def stat(title: str, description: str, *queries: Json, unit: str, empty: str, width: int = 4, **more: Any) -> Json:
    """A tile: the last value, large, over its course."""
    options = {
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "center",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "auto",
    }
    nothing = {"options": {"match": "null+nan", "result": {"text": empty}}, "type": "special"}
    more = {"height": 4, "mappings": [nothing], **more}
    return panel("stat", title, description, queries, unit=unit, empty=empty, width=width, options=options, **more)


def timeseries(
    title: str, description: str, *queries: Json, unit: str, empty: str, stack: bool = False, **more: Any
) -> Json:
    """Lines over time, or areas on each other with `stack`; the legend is a table with mean, maximum and last value."""
    custom = {
        "drawStyle": "line",
        "fillOpacity": 30 if stack else 8,
        "lineWidth": 1,
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"group": "A", "mode": "normal" if stack else "none"},
    }
    options = {
        "legend": {"calcs": ["mean", "max", "lastNotNull"], "displayMode": "table", "placement": "bottom"},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    more = {"width": 8, "height": 8, "color": {"mode": "palette-classic"}, "min": 0, **more}
    result = panel(
        "timeseries", title, description, queries, unit=unit, empty=empty, options=options, custom=custom, **more
    )
    result["fieldConfig"]["overrides"] = [_dashed()]
    result["maxDataPoints"] = 300  # a fleet is asked for this many points, not for one a pixel
    return result


def _dashed() -> Json:
    return {
        "matcher": {"id": "byName", "options": THRESHOLD},
        "properties": [
            {"id": "color", "value": {"fixedColor": RED, "mode": "fixed"}},
            {"id": "custom.lineStyle", "value": {"dash": [8, 8], "fill": "dash"}},
            {"id": "custom.fillOpacity", "value": 0},
            {"id": "custom.stacking", "value": {"group": False, "mode": "none"}},
        ],
    }


def heatmap(title: str, description: str, query: Json, *, unit: str, empty: str, **more: Any) -> Json:
    """A histogram over time: each column of cells is the requests that ended then."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {"exponent": 0.5, "mode": "scheme", "scheme": "Spectral", "steps": 64},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "tooltip": {"mode": "single", "yHistogram": True},
        "yAxis": {"axisPlacement": "left", "unit": unit},
    }
    more = {"width": 12, "height": 8, **more}
    result = panel("heatmap", title, description, [query], unit="short", empty=empty, options=options, **more)
    result["maxDataPoints"] = 120
    return result


def timeline(title: str, description: str, *queries: Json, mappings: Sequence[Json], empty: str, **more: Any) -> Json:
    """What state something was in, over time."""
    options = {
        "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "mergeValues": True,
        "rowHeight": 0.85,
        "showValue": "auto",
        "tooltip": {"mode": "single"},
    }
    custom = {"fillOpacity": 75, "lineWidth": 0}
    more = {"width": 24, "height": 6, "unit": "short", "mappings": list(mappings), **more}
    return panel("state-timeline", title, description, queries, empty=empty, options=options, custom=custom, **more)


def bars(title: str, description: str, query: Json, *, unit: str, empty: str, **more: Any) -> Json:
    """One bar a series, largest first."""
    options = {
        "displayMode": "gradient",
        "orientation": "horizontal",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showUnfilled": True,
        "valueMode": "color",
    }
    more = {"width": 8, "height": 8, "min": 0, **more}
    return panel("bargauge", title, description, [now(query)], unit=unit, empty=empty, options=options, **more)


def logs(title: str, description: str, query: Json, *, empty: str, **more: Any) -> Json:
    """Log lines, newest first, with their structured metadata."""
    options = {
        "dedupStrategy": "none",
        "enableLogDetails": True,
        "prettifyLogMessage": False,
        "showTime": True,
        "sortOrder": "Descending",
        "wrapLogMessage": True,
    }
    more = {"width": 24, "height": 12, "unit": "short", **more}
    return panel("logs", title, description, [query], empty=empty, options=options, **more)


def state_mappings(states: Sequence[str]) -> list[Json]:
    """Names and colors for the numbers that `queries.state` makes."""
    names = {
        str(number): {"color": COLORS.get(name, GREY), "index": number, "text": name}
        for number, name in enumerate(states, start=1)
    }
    return [{"options": names, "type": "value"}]


def value_mappings(names: Mapping[str, tuple[str, str]]) -> list[Json]:
    """(text, color) for single values, written as text."""
    options = {value: {"color": color, "text": text} for value, (text, color) in names.items()}
    return [{"options": options, "type": "value"}]
