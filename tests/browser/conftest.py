"""A real browser: Debian's Chromium, or the one that CHROMIUM names."""

import os
import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, async_playwright

from tests.integration.conftest import long_model, model

__all__ = ["long_model", "model"]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert executable, "no chromium on PATH; set CHROMIUM to one"
    async with async_playwright() as playwright:
        # As root, as in CI, Chromium has no sandbox; it opens nothing but our own page.
        browser = await playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        await browser.close()
