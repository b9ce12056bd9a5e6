"""llama-server started, stopped and lost, as the page shows it."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

from playwright.async_api import Browser, Page, expect

from tests.browser.visitor import CRASH_SEEN, SOON, UNKNOWN, becomes, button, confirm, fact, visit
from tests.integration.conftest import servers
from tests.integration.program import Program, exporter
from tests.support import FAKE, eventually, free_port

REAL = servers()[-1][1]


async def until_pid_is_another(page: Page, it: Program, before: int) -> int:
    async def check() -> int | None:
        pid = (await it.status())["pid"]
        return pid if pid not in (None, before) else None

    pid: int = await eventually(check)
    await expect(fact(page, "PID")).to_have_text(str(pid))
    return pid


async def test_start_stop_and_restart(browser: Browser, model: Path, tmp_path: Path) -> None:
    options = {"args": ["-m", str(model), "-c", "4096"], "autostart": False}
    async with exporter(command=REAL, server=options, folder=tmp_path) as it, visit(browser, it.url) as page:
        await becomes(page, "stopped")
        await expect(button(page, "Stop")).to_be_disabled()
        await button(page, "Start").click()
        await becomes(page, "ready")
        pid = (await it.status())["pid"]
        await expect(fact(page, "PID")).to_have_text(str(pid))
        await expect(button(page, "Start")).to_be_disabled()

        await button(page, "Restart").click()
        await page.keyboard.press("Escape")  # that was a no
        await button(page, "Restart").click()
        await confirm(page, "Restart")
        await until_pid_is_another(page, it, pid)
        await becomes(page, "ready")
        await expect(fact(page, "Restarts")).to_have_text("1 requested")

        await button(page, "Stop").click()
        await confirm(page, "Stop")
        await becomes(page, "stopped")
        assert (await it.status())["state"] == "stopped"


async def test_what_runs_is_told_before_it_is_cut_off(browser: Browser, long_model: Path, tmp_path: Path) -> None:
    options = {"args": ["-m", str(long_model), "-c", "200000"]}
    async with exporter(command=REAL, server=options, folder=tmp_path) as it, visit(browser, it.url) as page:
        await becomes(page, "ready")
        body = {"prompt": "on and on", "n_predict": 150_000, "ignore_eos": True, "stream": True}
        async with it.session.post(f"{it.server}/completion", json=body) as response:
            assert response.status == 200
            await expect(fact(page, "Running")).to_have_text("1", timeout=SOON)
            await expect(fact(page, "Generation")).not_to_have_text("0 tok/s", timeout=SOON)
            await button(page, "Stop").click()
            await expect(page.locator("#confirm-text")).to_contain_text("1 request is running, and 40 s is left to end")
            await page.keyboard.press("Escape")
        await expect(fact(page, "Running")).to_have_text("0", timeout=SOON)


async def test_a_crash_is_seen_at_once_and_no_old_numbers_stay(browser: Browser, model: Path, tmp_path: Path) -> None:
    options = {"args": ["-m", str(model), "-c", "4096"], "restart": {"policy": "never"}}
    async with exporter(command=REAL, server=options, folder=tmp_path) as it, visit(browser, it.url) as page:
        await becomes(page, "ready")
        await it.complete(20)
        await expect(fact(page, "Context")).to_contain_text("%", timeout=SOON)
        os.kill((await it.status())["pid"], signal.SIGKILL)
        await becomes(page, "failed", within=CRASH_SEEN)
        await expect(page.locator("#last-exit summary")).to_contain_text("by SIGKILL")
        for name in ("PID", "Up for", "Build", "Running", "Waiting", "Context"):
            await expect(fact(page, name)).to_have_text(UNKNOWN)
        for name in ("Generation", "Prompts"):
            await expect(fact(page, name)).to_have_text(f"{UNKNOWN} tok/s")
        await page.locator("#last-exit summary").click()
        await expect(page.locator("#last-exit pre")).to_contain_text("listening")
        await button(page, "Start").click()
        await becomes(page, "ready")


async def test_a_pause_before_a_restart_is_cut_short(browser: Browser, tmp_path: Path) -> None:
    options = {"restart": {"initial_backoff": "10m", "max_backoff": "10m"}}
    async with exporter(command=FAKE, server=options, folder=tmp_path) as it, visit(browser, it.url) as page:
        await becomes(page, "ready")
        os.kill((await it.status())["pid"], signal.SIGKILL)
        await becomes(page, "backoff", within=CRASH_SEEN)
        await button(page, "Start").click()
        await becomes(page, "ready")


async def test_an_order_that_is_in_vain_says_why(browser: Browser, tmp_path: Path) -> None:
    options = {"args": ["-m", "missing.gguf"], "autostart": False}
    async with (
        exporter(command=FAKE, server=options, folder=tmp_path) as it,
        visit(browser, it.url, expected=("409",)) as page,
    ):
        await button(page, "Start").click()
        await expect(page.locator("#messages")).to_contain_text("missing.gguf")


async def test_several_pages_see_the_same(browser: Browser, tmp_path: Path) -> None:
    async with exporter(command=FAKE, folder=tmp_path) as it:
        await it.until("ready")
        async with visit(browser, it.url) as one, visit(browser, it.url) as two, visit(browser, it.url) as three:
            for page in (one, two, three):
                await becomes(page, "ready")
            await button(one, "Stop").click()
            await confirm(one, "Stop")
            await asyncio.gather(*(becomes(page, "stopped") for page in (one, two, three)))
            await button(two, "Start").click()
            await asyncio.gather(*(becomes(page, "ready") for page in (one, two, three)))


async def test_a_page_outlives_the_exporter(browser: Browser, tmp_path: Path) -> None:
    port = str(free_port())
    listen = ("--web.listen-address", f"127.0.0.1:{port}")
    lost = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET")
    url = f"http://127.0.0.1:{port}"
    async with AsyncExitStack() as second:
        async with exporter(*listen, command=FAKE, folder=tmp_path):
            page = await second.enter_async_context(visit(browser, url, expected=lost))
            await becomes(page, "ready")
            await expect(page.locator("#stale")).to_be_hidden()
        await expect(page.locator("#stale")).to_contain_text("No word from the exporter since")
        await expect(page.locator("#connection")).to_have_text("not connected")
        async with exporter(*listen, command=FAKE, server={"autostart": False}, folder=tmp_path):
            await becomes(page, "stopped")
            await expect(page.locator("#stale")).to_be_hidden()
            await expect(page.locator("#connection")).to_have_text("live")
            # A page that is loaded anew while everything is well has all of its past.
            await page.reload()
            await becomes(page, "stopped")


async def test_a_page_in_the_background_takes_no_connection_and_catches_up(browser: Browser, tmp_path: Path) -> None:
    turn = """(hidden) => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    async with exporter(command=FAKE, folder=tmp_path) as it, visit(browser, it.url) as first:
        last = first
        for _ in range(7):  # one more than a browser opens connections to a host
            await becomes(last, "ready")
            await last.evaluate(turn, arg=True)
            await expect(last).to_have_title("llama-server")
            last = await first.context.new_page()
            await last.goto(it.url)
        await becomes(last, "ready")
        await button(last, "Stop").click()
        await confirm(last, "Stop")
        await becomes(last, "stopped")
        assert await first.locator("#state").text_content() == "ready"
        await first.evaluate(turn, arg=False)
        await becomes(first, "stopped")
        await expect(first.locator("#stale")).to_be_hidden()


async def test_a_server_that_something_else_runs_takes_no_orders(browser: Browser, tmp_path: Path) -> None:
    options = {"attach": f"http://127.0.0.1:{free_port()}"}
    async with exporter(server=options, folder=tmp_path) as it, visit(browser, it.url) as page:
        await expect(page.locator("#state")).to_have_text("stopped", timeout=SOON)
        for name in ("Start", "Stop", "Restart"):
            await expect(button(page, name)).to_be_hidden()
