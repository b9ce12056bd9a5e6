"""The live log."""

from pathlib import Path

from playwright.async_api import Browser, expect

from tests.browser.visitor import SOON, becomes, button, visit
from tests.integration.program import exporter
from tests.support import FAKE

MARKUP = "<img src=x onerror=alert(1)><b>bold</b>"


async def test_records_come_and_are_filtered(browser: Browser, tmp_path: Path) -> None:
    async with exporter(command=FAKE, server={"args": ["--say", MARKUP]}, folder=tmp_path) as it:
        await it.until("ready")
        async with visit(browser, it.url) as page:
            lines = page.locator("#log-lines li")
            await expect(lines.filter(has_text=MARKUP)).to_have_count(1)  # as text
            await expect(lines.filter(has_text="login from")).to_have_count(0)
            before = await lines.count()
            async with it.session.post(f"{it.url}/-/reload") as response:
                assert response.status == 200
            await expect(lines.filter(has_text="onfiguration")).not_to_have_count(0, timeout=SOON)
            assert await lines.count() > before

            await page.locator("#log-text").fill("IMG SRC")
            await expect(lines).to_have_count(1)
            await page.locator("#log-text").fill("nothing has this in it")
            await expect(lines).to_have_count(0)
            await expect(page.locator("#log-note")).to_have_text("No record fits.")
            await page.locator("#log-text").fill("")
            await page.locator("#log-source").select_option("exporter")
            await expect(lines.filter(has_text=MARKUP)).to_have_count(0)
            await expect(lines.filter(has_text="serving on")).to_have_count(1)
            await page.locator("#log-level").select_option("error")
            await expect(lines).to_have_count(0)


async def test_pause_and_copy(browser: Browser, tmp_path: Path) -> None:
    async with exporter(command=FAKE, folder=tmp_path) as it:
        await it.until("ready")
        async with visit(browser, it.url, permissions=["clipboard-read", "clipboard-write"]) as page:
            await becomes(page, "ready")
            lines = page.locator("#log-lines li")
            await expect(lines.filter(has_text="serving on")).to_have_count(1)
            await page.locator("#log-source").select_option("exporter")
            await expect(lines.first).to_contain_text("exporter")
            await button(page, "Pause").click()
            paused = await lines.count()
            async with it.session.post(f"{it.url}/api/v1/server/restart") as response:
                assert response.status == 202
            await expect(page.locator("#log-note")).to_contain_text("since the pause")
            assert await lines.count() == paused
            await button(page, "Go on").click()
            await expect(lines.filter(has_text="restart of llama-server requested by")).to_have_count(1)
            await button(page, "Copy").click()
            await expect(page.locator("#log-note")).to_contain_text("records copied")
            copied: str = await page.evaluate("navigator.clipboard.readText()")
            assert "serving on" in copied.splitlines()[0]
            assert "restart of llama-server requested by" in copied
