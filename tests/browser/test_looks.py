"""How it looks and feels: light, dark, on a phone, by keyboard, to a screen reader."""

import asyncio
import os
import re
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, expect

from tests.browser.visitor import SOON, becomes, button, visit
from tests.integration.conftest import servers
from tests.integration.program import exporter
from tests.support import FAKE

SCREENSHOTS = Path(os.environ.get("SCREENSHOTS", Path(__file__).parents[2] / ".cache" / "screenshots"))
DESK = {"width": 1280, "height": 900}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": DESK, "color_scheme": "light"},
    "dark": {"viewport": DESK, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "color_scheme": "light", "is_mobile": True},
}


@pytest.mark.parametrize("look", LOOKS)
async def test_it_is_readable(browser: Browser, model: Path, tmp_path: Path, look: str) -> None:
    options = {"args": ["-m", str(model), "-c", "8192", "--alias", "a-model-with-a-rather-long-name-Instruct-Q4_K_M"]}
    async with exporter(command=servers()[-1][1], server=options, folder=tmp_path) as it:
        await it.until("ready")
        await asyncio.gather(*(it.complete(100 + n) for n in range(4)))
        async with visit(browser, it.url, **LOOKS[look]) as page:
            await becomes(page, "ready")
            await page.locator("#settings summary").click()
            drawn = page.locator("#charts figure:not([hidden]) path").first
            await expect(drawn).to_have_attribute("d", re.compile("M"), timeout=SOON)
            await page.screenshot(path=SCREENSHOTS / f"{look}.png", full_page=True)
            # Not innerWidth: on a phone that grows with what overflows.
            assert await page.evaluate("document.scrollingElement.scrollWidth") <= LOOKS[look]["viewport"]["width"]
            found = await Axe().run(page)
            assert found.violations_count == 0, found.generate_report()


async def test_everything_is_reached_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    async with exporter(command=FAKE, folder=tmp_path) as it, visit(browser, it.url) as page:
        await becomes(page, "ready")
        reached: list[str] = []
        for _ in range(60):
            await page.keyboard.press("Tab")
            reached.append(await page.evaluate("document.activeElement.id || document.activeElement.textContent"))
        for wanted in ("stop", "restart", "log-level", "log-text", "log-pause", "log-copy", "log-lines", "Settings"):
            assert wanted in reached
        await button(page, "Stop").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#confirm")).to_be_visible()
        await page.keyboard.press("Enter")  # the answer that hurts is not the first
        await expect(page.locator("#confirm")).to_be_hidden()
        await expect(page.locator("#state")).to_have_text("ready")
        await expect(page.locator("#stop")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(button(page, "Cancel")).to_be_focused()
        await page.keyboard.press("Tab")
        await expect(page.locator("#confirm .danger")).to_be_focused()
        await page.keyboard.press("Enter")
        await becomes(page, "stopped")


ROLES: list[tuple[Literal["status", "heading", "table", "search"], str]] = [
    ("heading", "Last 15 minutes"),
    ("heading", "Models"),
    ("heading", "Log"),
    ("search", "Filter the log"),
    ("table", ""),
]


async def test_a_screen_reader_finds_its_way(browser: Browser, tmp_path: Path) -> None:
    async with exporter(command=FAKE, folder=tmp_path) as it, visit(browser, it.url) as page:
        await becomes(page, "ready")
        for role, name in ROLES:
            await expect(page.get_by_role(role, name=name).first).to_be_visible()
        await expect(page.get_by_role("img", name="Requests, now running")).to_be_visible(timeout=SOON)
        assert await page.locator("#state").get_attribute("aria-live") == "polite"
