"""Tables: rows by labels, one column a query, links on the cells that name a server or a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grafana.panels import NEUTRAL, Steps, panel
from grafana.queries import Json


@dataclass(frozen=True)
class Column:
    """A column: its title, its query (as `queries.cells` makes it), and how its values look."""

    title: str
    query: Json
    unit: str = "short"
    steps: Steps = NEUTRAL
    mappings: Sequence[Json] = field(default_factory=tuple)
    decimals: int | None = None
    hidden: bool = False


def table(
    title: str,
    description: str,
    labels: Mapping[str, str],
    columns: Sequence[Column],
    *,
    links: Mapping[str, Sequence[Json]],
    empty: str,
    hide: Sequence[str] = (),
    sort: str | None = None,
    **more: Any,
) -> Json:
    """A table.

    `labels` are columns too, by the label's name and the column's title; all queries have to return the same labels.
    `hide` names labels that no column shows. `links` are those of a column's cells, by title. `sort` is the column of
    which the largest comes first.
    """
    more = {"width": 24, "height": 9, "unit": "short", **more}
    result = panel(
        "table",
        title,
        description,
        [column.query for column in columns],
        empty=empty,
        options={
            "cellHeight": "sm",
            "showHeader": True,
            "sortBy": [{"desc": True, "displayName": sort}] if sort else [],
        },
        custom={"align": "auto", "filterable": True},
        **more,
    )
    # With one query the value's column is called Value, with several Value #A, Value #B ...
    values = [f"Value #{target['refId']}" for target in result["targets"]] if len(columns) > 1 else ["Value"]
    shown = dict(zip(values, (column.title for column in columns), strict=True))
    hidden = [value for value, column in zip(values, columns, strict=True) if column.hidden]
    result["transformations"] = [
        {"id": "merge", "options": {}},
        {
            "id": "organize",
            "options": {
                "excludeByName": dict.fromkeys(("Time", "__name__", *hide, *hidden), True),
                "indexByName": {name: at for at, name in enumerate((*labels, *values))},
                "renameByName": {**labels, **shown},
            },
        },
    ]
    result["fieldConfig"]["overrides"] = [
        *(_look(column) for column in columns if not column.hidden),
        *(_override(name, [{"id": "links", "value": list(found)}]) for name, found in links.items()),
    ]
    return result


def _look(column: Column) -> Json:
    properties: list[Json] = [
        {"id": "unit", "value": column.unit},
        {
            "id": "thresholds",
            "value": {"mode": "absolute", "steps": [{"value": v, "color": c} for v, c in column.steps]},
        },
    ]
    if column.mappings:
        properties.append({"id": "mappings", "value": list(column.mappings)})
    if column.decimals is not None:
        properties.append({"id": "decimals", "value": column.decimals})
    if column.mappings or column.steps is not NEUTRAL:
        properties.append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
    return _override(column.title, properties)


def _override(name: str, properties: Sequence[Json]) -> Json:
    return {"matcher": {"id": "byName", "options": name}, "properties": list(properties)}
