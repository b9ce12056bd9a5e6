"""GPUs on the page, over an NVML without any."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.browser.visitor import SOON, becomes, fact, row, visit
from tests.integration.program import exporter
from tests.nvml.stub import Stub
from tests.support import FAKE


async def test_gpus_and_the_memory_of_a_model_are_shown(
    browser: Browser, libnvidia_ml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = Stub(tmp_path / "nvml")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(libnvidia_ml.parent))
    monkeypatch.setenv("NVML_STUB", str(stub.control))
    async with exporter(command=FAKE, folder=tmp_path) as it, visit(browser, it.url) as page:
        await becomes(page, "ready")
        stub.put({"compute.0": f"{(await it.status())['pid']}:{3 << 30}"})
        await expect(fact(page, "2 GPUs")).to_contain_text("%", timeout=SOON)
        await expect(fact(page, "Power")).to_contain_text("W")
        await expect(row(page, "fake").locator("td").nth(4)).to_have_text("3 GiB", timeout=SOON)
        await expect(page.get_by_role("img", name="GPU, now work")).to_be_visible()
        await expect(page.get_by_role("img", name="CPU, now")).to_have_count(0)
