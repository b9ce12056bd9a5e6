"""Settings: checked while one types, saved to the file, applied."""

import json
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from playwright.async_api import Browser, expect

from tests.browser.visitor import SOON, becomes, button, confirm, fact, visit
from tests.integration.program import exporter
from tests.support import FAKE, eventually


async def test_settings_are_checked_saved_and_applied(browser: Browser, tmp_path: Path) -> None:
    async with (
        exporter(command=FAKE, server={"args": ["--say", "one"]}, folder=tmp_path) as it,
        visit(browser, it.url, expected=("400",)) as page,
    ):
        await becomes(page, "ready")
        file = tmp_path / "exporter.yml"
        before = file.read_text()
        await page.locator("#settings summary").click()
        await expect(page.locator("#settings-file")).to_contain_text(str(file))
        arguments = page.locator('[id="server.args"]')
        await expect(arguments).to_have_value("--say one")

        port = page.locator('[id="server.stop_timeout"]')
        await port.fill("soon")
        await expect(page.locator('[id="server.stop_timeout-error"]')).to_contain_text("is not a duration")
        await expect(button(page, "Save")).to_be_disabled()
        await port.fill("7s")
        await expect(page.locator(".verdict")).to_contain_text(
            "Changes server.stop_timeout. It takes effect without a restart"
        )
        await arguments.fill('--say "two\n"a line\\nand another"')
        await expect(page.locator(".verdict")).to_contain_text("Applying restarts llama-server")
        assert file.read_text() == before

        await button(page, "Save").click()
        await expect(page.locator("#settings-file")).to_contain_text(
            "not applied yet: server.args, server.stop_timeout"
        )
        section = yaml.safe_load(file.read_text())["server"]
        assert section["args"] == ["--say", '"two', "a line\nand another"]
        assert section["stop_timeout"] == "7s"
        pid = (await it.status())["pid"]
        await button(page, "Save and apply").click()
        await confirm(page, "Apply")

        async def replaced() -> int | None:
            now = await it.status()
            return now["pid"] if now["state"] == "ready" and now["pid"] != pid else None

        new: int = await eventually(replaced)
        command = psutil.Process(new).cmdline()
        begin = command.index("--say")
        assert command[begin : begin + 3] == section["args"]
        await expect(fact(page, "PID")).to_have_text(str(new), timeout=SOON)
        await expect(page.locator("#settings-file")).not_to_contain_text("not applied")


async def test_what_counts_more_than_the_file_is_not_offered(browser: Browser, tmp_path: Path) -> None:
    async with exporter("--", "--say", "x", command=FAKE, folder=tmp_path) as it, visit(browser, it.url) as page:
        await page.locator("#settings summary").click()
        await expect(page.locator('[id="server.args"]')).to_be_disabled()
        await expect(page.locator(".field", has_text="args")).to_contain_text("Set on the command line")


LISTS = [
    ["-m", "a.gguf", "-ngl", "-1", "--flag", "--temp", "0.5", "plain"],
    ["", " ", "-x y", '"', '"quoted"', "\n", "a\r\nb", "-", "--", "ends ", "two words"],
    ["--api-key", "<hidden>", "-c", "4096", "-", "-", "a b  c"],
    ["--chat-template", "{%- for m in messages -%}\n{{ m }}\n{%- endfor -%}"],
]


@pytest.mark.parametrize("arguments", LISTS, ids=range(len(LISTS)))
async def test_arguments_survive_the_way_through_the_form(
    browser: Browser, tmp_path: Path, arguments: list[str]
) -> None:
    script = """async (list) => {
        const { toLines, toArguments } = await import("/static/arguments.js");
        return toArguments(toLines(list));
    }"""
    options = {"autostart": False}
    async with exporter(command=FAKE, server=options, folder=tmp_path) as it, visit(browser, it.url) as page:
        back: Any = await page.evaluate(script, arguments)
        assert json.dumps(back) == json.dumps(arguments)
