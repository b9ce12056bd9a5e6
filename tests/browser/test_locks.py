"""The token in a browser: asked for once, kept by nobody but the exporter, and useless to other sites."""

from pathlib import Path

from playwright.async_api import Browser, HttpCredentials, expect

from tests.browser.visitor import becomes, button, confirm, visit
from tests.integration.program import exporter
from tests.integration.test_web_credentials import HASH, PASSWORD, locked
from tests.support import FAKE

TOKEN = "a-token-of-the-test-0123456789"  # noqa: S105 -- of this test alone


async def test_the_token_is_asked_for_once(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    config = {"web": {"control_token_file": str(tmp_path / "token")}}
    async with (
        exporter(command=FAKE, config=config, folder=tmp_path) as it,
        visit(browser, it.url, expected=("401",)) as page,
    ):
        await becomes(page, "ready")
        await button(page, "Stop").click()
        await confirm(page, "Stop")
        token = page.locator("#login input")
        await token.fill("wrong")
        await button(page, "Log in").click()
        await expect(page.locator("#login .error")).to_have_text("this is not the control token")
        await button(page, "Cancel").click()
        await expect(page.locator("#messages")).to_contain_text("the control token is needed")
        await expect(page.locator("#state")).to_have_text("ready")

        await button(page, "Stop").click()
        await confirm(page, "Stop")
        await token.fill(TOKEN)
        await page.keyboard.press("Enter")
        await becomes(page, "stopped")
        await button(page, "Start").click()  # without being asked again
        await becomes(page, "ready")

        (cookie,) = await page.context.cookies()
        assert (cookie.get("httpOnly"), cookie.get("sameSite")) == (True, "Strict")
        assert TOKEN not in str(cookie)
        kept = "JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}, document.body.innerHTML])"
        assert TOKEN not in await page.evaluate(kept)
        assert await page.evaluate("document.cookie") == ""

        await button(page, "Log out").click()
        await expect(button(page, "Log out")).to_be_hidden()
        await button(page, "Stop").click()
        await confirm(page, "Stop")
        await expect(page.locator("#login")).to_be_visible()


async def test_it_works_behind_tls_and_a_password(browser: Browser, tmp_path: Path) -> None:
    user: HttpCredentials = {"username": "ops", "password": PASSWORD}
    async with locked(tmp_path, basic_auth_users={"ops": HASH}) as it:
        async with visit(browser, it.url, ignore_https_errors=True, http_credentials=user) as page:
            await becomes(page, "stopped")
            await expect(page.locator("#connection")).to_have_text("live")
            await button(page, "Start").click()
            await becomes(page, "ready")
        user["password"] += "?"
        context = await browser.new_context(ignore_https_errors=True, http_credentials=user)
        page = await context.new_page()
        await page.goto(it.url)
        assert "llama-server" not in await page.content()
        await context.close()


async def test_a_page_of_another_site_gets_nothing(browser: Browser, tmp_path: Path) -> None:
    """The other site is the same machine under another name and port: llama-server's own page."""
    attack = """async (url) => {
        const outcomes = [];
        for (const [path, options] of [
            ["/api/v1/server/stop", { method: "POST", mode: "no-cors", credentials: "include" }],
            ["/-/reload", { method: "POST", mode: "no-cors", credentials: "include" }],
            ["/api/v1/status", { credentials: "include" }],
        ]) {
            try {
                const answer = await fetch(url + path, options);
                outcomes.push(answer.type === "opaque" ? "opaque" : await answer.text());
            } catch (error) { outcomes.push("refused"); }
        }
        return outcomes;
    }"""
    async with exporter(command=FAKE, folder=tmp_path) as it:
        await it.until("ready")
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(it.server.replace("127.0.0.1", "localhost") + "/health")
        outcomes = await page.evaluate(attack, it.url)
        assert not any("state" in outcome for outcome in outcomes)
        assert (await it.status())["state"] == "ready"
        assert (await it.status())["desired"] == "running"
        await it.end()
        assert not it.events("config_reloaded")
        await context.close()
