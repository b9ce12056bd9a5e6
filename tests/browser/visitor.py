"""A page that somebody looks at, and everything that went wrong in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Request, expect

CRASH_SEEN = 2_000
"""Milliseconds after which the page has to show that llama-server has gone."""
SOON = 15_000
UNKNOWN = "\N{EN DASH}"


@asynccontextmanager
async def visit(browser: Browser, url: str, *, expected: tuple[str, ...] = (), **options: Any) -> AsyncIterator[Page]:
    """Open the page with options of a browser's context, and find at the end that nothing was amiss.

    Nothing may be fetched from elsewhere, no script may fail, and nothing be complained of in the console but what has
    a text of `expected` in it.
    """
    context = await browser.new_context(**options)
    page = await context.new_page()
    amiss: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(text in message.text for text in expected):
            amiss.append(message.text)

    def on_request(request: Request) -> None:
        if not request.url.startswith((f"{url}/", "data:", "blob:")):
            amiss.append(f"asked for {request.url}")

    page.on("console", on_console)
    page.on("request", on_request)
    page.on("pageerror", lambda error: amiss.append(str(error)))
    await page.goto(f"{url}/")
    yield page
    await context.close()
    assert not amiss


def state(page: Page) -> Locator:
    return page.locator("#state")


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def fact(page: Page, name: str) -> Locator:
    """A value of the list of facts or of the tiles."""
    return page.locator("dl > div", has=page.locator("dt", has_text=name)).locator("dd").first


def row(page: Page, model: str) -> Locator:
    """A model's row of the table."""
    return page.locator(f'#models tr[data-model="{model}"]')


async def confirm(page: Page, verb: str) -> None:
    """Say yes to the question."""
    await page.locator("#confirm").get_by_role("button", name=verb).click()


async def becomes(page: Page, name: str, within: int = SOON) -> None:
    """Wait until the page shows this state."""
    await expect(state(page)).to_have_text(name, timeout=within)
