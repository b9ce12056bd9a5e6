"""docs/openapi.yaml is the application: the same routes, and answers as it describes them."""

from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import pytest
import yaml
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from exporter.llama.api import ModelState
from exporter.logs.record import LEVELS
from exporter.logs.tail import Tail
from exporter.metrics.history import Point
from exporter.supervisor.process import Exit
from exporter.supervisor.states import RESTART_REASONS, Snapshot, State
from exporter.web.api.logs import MAX_LIMIT, PARAMETERS
from exporter.web.api.stream import LIVE
from exporter.web.auth.access import COOKIE
from tests.web_server import MemoryRouter, say, serving

DOCUMENT: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "docs" / "openapi.yaml").read_text("utf-8"))
SCHEMAS = DOCUMENT["components"]["schemas"]
REGISTRY: Registry[Any] = Registry().with_resource("urn:openapi", DRAFT202012.create_resource(DOCUMENT))


def check(value: Any, pointer: str) -> None:
    """Raise unless `value` fits the schema at this place of the document."""
    schema = {"$ref": f"urn:openapi#{pointer}"}
    jsonschema.Draft202012Validator(schema, registry=REGISTRY).validate(value)


def schema_of(method: str, path: str, status: int, content_type: str) -> str:
    """Where the document has the schema of an answer; fails when it has none."""
    responses = DOCUMENT["paths"][path][method.lower()]["responses"]
    key = str(status) if str(status) in responses else "default"
    response = responses[key]
    pointer = f"/paths/{path.replace('/', '~1')}/{method.lower()}/responses/{key}"
    if "$ref" in response:
        pointer = response["$ref"].removeprefix("#")
        response = DOCUMENT["components"]["responses"][pointer.rpartition("/")[2]]
    assert content_type in response["content"]
    return f"{pointer}/content/{content_type.replace('/', '~1')}/schema"


async def test_every_route_is_described_and_every_description_is_a_route() -> None:
    async with serving() as it:
        described = {(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item}
        assert {(method, path) for method, path in it.routes if method != "HEAD"} == described


def test_what_changes_something_asks_for_the_token_and_nothing_else_does() -> None:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            changes = method != "get" and path not in ("/api/v1/login", "/api/v1/logout")
            assert operation.get("security", []) == ([{"token": []}, {"session": []}] if changes else [])
            assert not changes or {"401", "403", "429"} <= set(operation["responses"])
    assert DOCUMENT["components"]["securitySchemes"]["session"]["name"] == COOKIE


def test_its_lists_are_the_codes() -> None:
    status = SCHEMAS["Status"]["properties"]
    assert status["state"]["enum"] == [str(state) for state in State]
    assert set(status["restarts"]["required"]) == set(RESTART_REASONS)
    assert set(SCHEMAS["Status"]["required"]) == set(status)
    assert tuple(SCHEMAS["Record"]["properties"]["level"]["enum"]) == LEVELS
    assert SCHEMAS["Live"]["required"] == [*LIVE, "point"]
    assert tuple(SCHEMAS["Point"]["required"]) == Point.__struct_fields__ == tuple(SCHEMAS["Point"]["properties"])
    parameters = DOCUMENT["paths"]["/api/v1/logs"]["get"]["parameters"]
    assert tuple(parameter["name"] for parameter in parameters) == PARAMETERS
    assert parameters[0]["schema"]["maximum"] == MAX_LIMIT
    assert SCHEMAS["Model"]["properties"]["state"]["enum"] == [str(state) for state in ModelState]
    assert set(SCHEMAS["Model"]["required"]) == set(SCHEMAS["Model"]["properties"])


SNAPSHOTS = (
    Snapshot(),
    Snapshot(state=State.READY, desired=True, pid=7, started=0.0, ready=1.0),
    Snapshot(State.FAILED, reason="why", last_exit=Exit(None, "SIGKILL"), last_exit_lines=("a",)),
    Snapshot(State.FAILED, last_exit=Exit(1, None), last_exit_cause="port_in_use"),
)


@pytest.mark.parametrize(
    "path", ["/api/v1/status", "/api/v1/models", "/api/v1/logs", "/api/v1/config", "/api/v1/history"]
)
@pytest.mark.parametrize("snapshot", SNAPSHOTS)
async def test_answers_fit(path: str, snapshot: Snapshot) -> None:
    tail = Tail(10)
    say(tail, message="x", event="server_ready", fields={"seconds": 1.5})
    async with serving(tail, MemoryRouter()) as it, aiohttp.ClientSession() as client:
        it.snapshot = snapshot
        async with client.get(f"{it.url}{path}") as response:
            assert response.status == 200
            check(await response.json(), schema_of("GET", path, 200, response.content_type))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/logs?limit=x", 400),
        ("GET", "/metrics?collect[]=x", 400),
        ("POST", "/api/v1/server/start", 409),
        ("POST", "/api/v1/models/load", 415),
        ("POST", "/api/v1/login", 409),
        ("PUT", "/api/v1/config/server", 415),
    ],
)
async def test_errors_fit(method: str, path: str, status: int) -> None:
    async with (
        serving() as it,
        aiohttp.ClientSession() as client,
        client.request(method, f"{it.url}{path}") as response,
    ):
        assert response.status == status
        described = schema_of(method, path.partition("?")[0], status, response.content_type)
        check(await response.json(content_type=None), described)


def test_a_wrong_answer_would_be_found() -> None:
    with pytest.raises(jsonschema.ValidationError):
        check({"state": "asleep"}, "/components/schemas/Status")
