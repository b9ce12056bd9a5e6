"""Models of a router, loaded and unloaded from the page."""

import shutil
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.browser.visitor import SOON, UNKNOWN, becomes, row, visit
from tests.integration.conftest import executables
from tests.integration.program import exporter


@pytest.fixture
def models(model: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("alpha", "beta"):
        shutil.copy(model, folder / f"{name}.gguf")
    (folder / "broken.gguf").write_bytes(b"GGUF, or so it says" * 50)
    return folder


@pytest.mark.parametrize("executable", executables(), ids=["llama-server"])
async def test_load_and_unload(browser: Browser, models: Path, tmp_path: Path, executable: tuple[str, ...]) -> None:
    options = {"args": ["--models-dir", str(models), "-c", "2048", "-np", "2"]}
    async with exporter(command=executable, server=options, folder=tmp_path) as it, visit(browser, it.url) as page:
        await becomes(page, "ready")
        alpha, broken = row(page, "alpha"), row(page, "broken")
        await expect(alpha.locator(".badge")).to_have_text("unloaded", timeout=SOON)
        await alpha.get_by_role("button", name="Load alpha").click()
        await expect(alpha.locator(".badge")).to_have_text("loaded", timeout=SOON)
        await expect(alpha.locator("td").nth(1)).to_have_text("0 of 2", timeout=SOON)
        await expect(row(page, "beta").locator(".badge")).to_have_text("unloaded")
        await broken.get_by_role("button", name="Load broken").click()
        await expect(broken.locator(".badge")).to_have_text("failed (exit code 1)", timeout=SOON)
        await alpha.get_by_role("button", name="Unload alpha").click()
        await expect(alpha.locator(".badge")).to_have_text("unloaded", timeout=SOON)
        await expect(alpha.locator("td").nth(1)).to_have_text(UNKNOWN)


@pytest.mark.parametrize("executable", executables(), ids=["llama-server"])
async def test_a_router_without_models_says_what_to_do(
    browser: Browser, tmp_path: Path, executable: tuple[str, ...]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    options = {"args": ["--models-dir", str(empty)], "env": {"LLAMA_CACHE": str(empty), "HOME": str(empty)}}
    async with exporter(command=executable, server=options, folder=tmp_path) as it, visit(browser, it.url) as page:
        await becomes(page, "ready")
        await expect(page.locator("#no-models")).to_contain_text("put GGUF files into the folder of --models-dir")
