"""Who may change something, tried from outside on a real exporter."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from tests.integration.program import Program, exporter
from tests.support import FAKE, eventually, free_port

TOKEN = "correct-horse-battery-staple"  # noqa: S105 -- of the tests
CHANGES = ("/api/v1/server/start", "/api/v1/server/stop", "/api/v1/server/restart", "/-/reload")
CHANGES_WITH_BODY = ("/api/v1/models/load", "/api/v1/models/unload")
RIGHT = {"Authorization": f"Bearer {TOKEN}"}


@asynccontextmanager
async def locked(folder: Path, **web: Any) -> AsyncIterator[Program]:
    (folder / "token").write_text(f"{TOKEN}\n")
    config = {"web": {"control_token_file": "token", **web}}
    async with exporter(command=FAKE, server={"autostart": False}, config=config, folder=folder) as it:
        yield it


async def answer(it: Program, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.request(method, f"{it.url}{path}", json=body) as response,
    ):
        return response.status, await response.text()


def other_address() -> str:
    """An address of this machine that is not loopback."""
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family == socket.AF_INET and not address.address.startswith("127."):
                return address.address
    pytest.fail("this machine has no address but loopback")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "[::1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"X-Forwarded-For": "1.2.3.4"},
        {"Forwarded": "for=1.2.3.4"},
    ],
    ids=str,
)
async def test_without_a_token_other_sites_and_proxies_change_nothing(headers: dict[str, str], tmp_path: Path) -> None:
    async with exporter(command=FAKE, server={"autostart": False}, folder=tmp_path) as it:
        for path in CHANGES + CHANGES_WITH_BODY:
            assert (await answer(it, "POST", path, {"model": "x"}, **headers))[0] == 403
        assert (await it.status())["desired"] == "stopped"
        await it.end()
        assert it.events("config_reloaded") == []


async def test_without_a_token_a_page_of_ours_and_a_program_may(tmp_path: Path) -> None:
    async with exporter(command=FAKE, server={"autostart": False}, folder=tmp_path) as it:
        page = {"Origin": it.url, "Sec-Fetch-Site": "same-origin"}
        assert (await answer(it, "POST", "/api/v1/server/start", **page))[0] == 202
        await it.until("ready")
        assert (await answer(it, "POST", "/api/v1/server/stop"))[0] == 202
        status, text = await answer(it, "POST", "/api/v1/login", {"token": "x"})
        assert (status, "no token is set" in text) == (409, True)


@pytest.mark.parametrize("token", [False, True])
async def test_from_another_machine(tmp_path: Path, *, token: bool) -> None:
    """Our own address of a network stands in for another machine: the peer is not loopback."""
    address = f"{other_address()}:{free_port()}"
    (tmp_path / "token").write_text(TOKEN)
    config = {"web": {"control_token_file": "token" if token else None}}
    async with exporter(
        "--web.listen-address", address, command=FAKE, server={"autostart": False}, config=config, folder=tmp_path
    ) as it:
        it.url = f"http://{address}"
        assert (await answer(it, "GET", "/api/v1/status"))[0] == 200
        status, text = await answer(it, "POST", "/api/v1/server/start", **RIGHT)
        assert status == (202 if token else 403)
        assert token or "set web.control_token_file" in text
        assert (await answer(it, "POST", "/api/v1/server/stop"))[0] == (401 if token else 403)


async def test_the_token_opens_and_nothing_else_does(tmp_path: Path) -> None:
    async with locked(tmp_path) as it:
        for path in CHANGES:
            assert (await answer(it, "POST", path))[0] == 401
            assert (await answer(it, "POST", path, Authorization="Basic eDp5"))[0] == 401
        assert (await answer(it, "POST", "/api/v1/server/start", **RIGHT, Origin="http://evil.example"))[0] == 403
        assert (await it.status())["desired"] == "stopped"
        assert (await answer(it, "POST", "/-/reload", **RIGHT))[0] == 200
        assert (await answer(it, "POST", "/api/v1/server/start", **RIGHT))[0] == 202
        # Behind a proxy that keeps the name of the outside.
        assert (await answer(it, "POST", "/-/reload", **RIGHT, Host="llm.example"))[0] == 200


async def test_wrong_tokens_are_slowed_and_logged_without_the_token(tmp_path: Path) -> None:
    async with locked(tmp_path) as it:
        guess = "my-password-of-another-place"
        statuses = [(await answer(it, "POST", "/api/v1/login", {"token": guess}))[0] for _ in range(3)]
        assert statuses == [401] * 3
        status, text = await answer(it, "POST", "/-/reload", **RIGHT)
        assert (status, "too many wrong tries from 127.0.0.1: wait 1 s" in text) == (429, True)

        async def let_in() -> bool:
            return (await answer(it, "POST", "/-/reload", **RIGHT))[0] == 200

        await eventually(let_in, within=5)
        assert (await answer(it, "POST", "/-/reload", Authorization="Bearer \xe4\xff"))[0] == 401
        await it.end()
        told = [line for line in it.lines if "a wrong control token from 127.0.0.1" in line["message"]]
        assert len(told) == 4
        assert not [line for line in it.raw if guess.encode() in line or TOKEN.encode() in line]


async def test_a_browser_logs_in_once(tmp_path: Path) -> None:
    async with locked(tmp_path) as it, aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:

        async def post(path: str, body: Any = None, **headers: str) -> int:
            async with browser.post(f"{it.url}{path}", json=body, headers=headers) as response:
                return response.status

        assert await post("/api/v1/server/start") == 401
        async with browser.post(f"{it.url}/api/v1/login", json={"token": TOKEN}) as response:
            assert response.status == 204
            cookie = response.headers["Set-Cookie"]
        for attribute in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"):
            assert attribute in cookie
        assert "Secure" not in cookie  # this is plain HTTP
        assert await post("/api/v1/server/start", Origin=it.url) == 202
        assert await post("/api/v1/server/stop", Origin="http://evil.example") == 403
        kept = {"Cookie": cookie.partition(";")[0]}
        assert await post("/api/v1/logout") == 204
        assert await post("/api/v1/server/stop") == 401
        assert await post("/api/v1/server/stop", **kept) == 401
        assert (await it.status())["desired"] == "running"


async def test_a_rebound_name_reads_nothing_of_the_api_without_the_token(tmp_path: Path) -> None:
    async with locked(tmp_path) as it:
        assert (await answer(it, "GET", "/api/v1/status", Host="evil.example"))[0] == 403
        assert (await answer(it, "GET", "/api/v1/status", Host="llm.example", **RIGHT))[0] == 200
        assert (await answer(it, "GET", "/api/v1/status", Host="localhost:1"))[0] == 200
        assert (await answer(it, "GET", "/metrics", Host="exporter:9842"))[0] == 200


@pytest.mark.parametrize("path", ["/", "/metrics", "/api/v1/status", "/nowhere", "/-/reload", "/-/ready"])
async def test_every_answer_has_the_security_headers(path: str, tmp_path: Path) -> None:
    async with (
        exporter(command=FAKE, server={"autostart": False}, folder=tmp_path) as it,
        it.session.get(f"{it.url}{path}") as response,
    ):
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert ("no-store" in response.headers.get("Cache-Control", "")) is path.startswith("/api/")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read: "), ("", "is empty"), ("short", "needs 16 plain characters or more")],
)
async def test_a_token_file_that_is_of_no_use_ends_the_start(content: str | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)
    config = {"web": {"control_token_file": "token"}}
    async with exporter(command=FAKE, config=config, folder=tmp_path, wait=False) as it:
        assert await it.process.wait() == 2
        said = (await eventually(lambda: it.stderr)).decode()
        assert "web.control_token_file: " in said
        assert message in said
