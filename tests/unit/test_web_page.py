"""The page's files: complete, typed, kept by browsers only while they are the same."""

import re
from importlib.resources import files

import aiohttp
import pytest

from exporter.web.routes import SECURITY
from tests.web_server import serving

STATIC = files("exporter.web").joinpath("static")
NAMES = sorted(entry.name for entry in STATIC.iterdir())
TEXTS = {name: STATIC.joinpath(name).read_text("utf-8") for name in NAMES}
LINK = re.compile(
    r"""(?:src|href)="([^"#]+)"|from "\./([^"]+)"|(?:PATH = |(?<![.\w])(?:get|order)\((?:"[A-Z]+", )?+)[`"]([^`"?$]+)"""
)


async def test_it_is_served_with_its_type_and_once() -> None:
    async with serving() as it, aiohttp.ClientSession() as client:
        async with client.get(f"{it.url}/") as response:
            assert (response.status, response.content_type, response.charset) == (200, "text/html", "utf-8")
            assert await response.text() == TEXTS["index.html"]
            tag = response.headers["ETag"]
            assert response.headers["Content-Security-Policy"] == SECURITY["Content-Security-Policy"]
        async with client.get(f"{it.url}/", headers={"If-None-Match": tag}) as response:
            assert (response.status, await response.read()) == (304, b"")
        async with client.get(f"{it.url}/static/app.js", headers={"If-None-Match": tag}) as response:
            assert (response.status, response.content_type) == (200, "text/javascript")


@pytest.mark.parametrize("name", ["nothing.js", "..%2fstatus.py", "%2e%2e/status.py", "", "app.js/x"])
async def test_nothing_else_is(name: str) -> None:
    async with serving() as it, aiohttp.ClientSession() as client, client.get(f"{it.url}/static/{name}") as response:
        assert response.status == 404


async def test_everything_that_it_links_to_is_there() -> None:
    async with serving() as it:
        routes = {path for _, path in it.routes}
    found = set()
    for name, text in TEXTS.items():
        if name.endswith((".html", ".js")):
            for place in LINK.findall(text):
                target = next(filter(None, place))
                found.add(target)
                path = f"static/{target}" if target.endswith(".js") and "/" not in target else target
                known = path.removeprefix("static/") in NAMES or any(route.startswith(f"/{path}") for route in routes)
                assert known, f"{name} leads to {target}"
    assert {"static/app.js", "log.js", "api/v1/history", "api/v1/config"} <= found


def test_no_script_or_style_is_inline_and_nothing_comes_from_elsewhere() -> None:
    page = TEXTS["index.html"]
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=", page)
    for name, text in TEXTS.items():
        if not name.endswith((".md", ".yaml")):
            assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), name
