"""The configuration over the API: what is in force, and changes of the file that a person wrote."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.program import ROOT, Program, exporter
from tests.support import FAKE, eventually, free_port

SECRET = "hunter2-hunter2"  # noqa: S105 -- of the tests


async def config(it: Program) -> dict[str, Any]:
    async with it.session.get(f"{it.url}/api/v1/config") as response:
        assert response.status == 200
        answer: dict[str, Any] = await response.json()
        return answer


async def put(it: Program, section: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    async with it.session.put(f"{it.url}/api/v1/config/server", json=section, headers=headers) as response:
        return response.status, await response.json(content_type=None)


def section_of(shown: dict[str, Any]) -> dict[str, Any]:
    """What a page would send back: every value of the section as it was shown."""
    section: dict[str, Any] = {}
    for key, setting in shown["settings"].items():
        first, *rest = key.split(".")
        if first == "server":
            into = section
            for name in rest[:-1]:
                into = into.setdefault(name, {})
            into[rest[-1]] = setting["value"]
    return section


def written(folder: Path) -> str:
    """A configuration as a person writes it, in place of the generated one."""
    text = (folder / "exporter.yml").read_text()
    port = next(line.split()[-1] for line in text.splitlines() if line.startswith("  port:"))
    text = f"""\
# The GPU machine.
logs: {{level:   debug}}   # noisy

server:
  command: [{FAKE[0]}, {FAKE[1]}]
  port: {port}
  # a model
  args:
    - --say
    - hello world   # two words
  env: {{HF_TOKEN: {SECRET}, LLAMA_ARG_THREADS: "2"}}
  health: {{interval: 100ms}}  # quick
  stop_timeout: 2s

metrics:
    rate_window:  5s
"""
    (folder / "exporter.yml").write_text(text)
    return text


def started_with(pid: int) -> tuple[list[bytes], list[bytes]]:
    """Arguments and environment of a process."""
    command, environment = (Path(f"/proc/{pid}/{name}").read_bytes().split(b"\0") for name in ("cmdline", "environ"))
    return command, environment


async def reloaded(it: Program) -> None:
    async with it.session.post(f"{it.url}/-/reload") as response:
        assert response.status == 200


async def test_every_setting_has_its_origin_and_secrets_are_hidden(tmp_path: Path) -> None:
    settings = {"args": ["--api-key", SECRET], "env": {"HF_TOKEN": SECRET}}
    async with exporter("--log.level", "warn", command=FAKE, server=settings, folder=tmp_path, wait=False) as it:

        async def answers() -> dict[str, Any] | None:
            try:
                return await config(it)
            except aiohttp.ClientConnectionError:
                return None

        shown = await eventually(answers)
        assert shown["file"] == str(tmp_path / "exporter.yml")
        found = shown["settings"]
        assert found["server.args"]["value"] == ["--api-key", "<hidden>"]
        assert found["server.env"]["value"] == {"HF_TOKEN": "<hidden>"}
        level = {"value": "warn", "origin": "flag", "restart": "none", "editable": False}
        assert found["logs.level"] == {**level, "choices": ["debug", "info", "warn", "error"]}
        assert (found["server.port"]["origin"], found["server.port"]["restart"]) == ("file", "llama-server")
        assert found["server.cwd"] == {"value": None, "origin": "default", "restart": "llama-server", "editable": False}
        assert found["server.autostart"]["restart"] == "exporter"
        assert SECRET not in str(shown)


async def test_a_change_keeps_comments_and_is_applied_by_a_reload(tmp_path: Path) -> None:
    async with exporter(command=FAKE, folder=tmp_path) as it:
        before = written(tmp_path)
        await reloaded(it)
        pid = (await it.until("ready"))["pid"]
        section = section_of(await config(it))
        assert await put(it, section) == (
            200,
            {"file": str(tmp_path / "exporter.yml"), "changed": [], "overridden": {}, "restart": "none"},
        )
        assert (tmp_path / "exporter.yml").read_text() == before
        touched = tmp_path / "touched"
        section["args"] = ["--say", f"$(touch {touched}); `touch {touched}` | touch {touched}"]
        section["health"]["timeout"] = 3
        status, answer = await put(it, section)
        assert (status, answer["restart"]) == (200, "llama-server")
        assert answer["changed"] == ["server.args", "server.health.timeout"]
        after = (tmp_path / "exporter.yml").read_text()
        head, _, tail = before.partition("  args:\n    - --say\n    - hello world")
        assert after.startswith(head + "  args: [--say,")
        assert after.endswith(
            tail[tail.index("   # two") :].replace("{interval: 100ms}", "{interval: 0.1, timeout: 3}")
        )
        assert SECRET in after
        assert (await it.status())["pid"] == pid
        await reloaded(it)

        async def replaced() -> bool:
            now = await it.status()
            return bool(now["state"] == "ready" and now["pid"] != pid)

        await eventually(replaced)
        command, environment = started_with((await it.status())["pid"])
        assert section["args"][1].encode() in command  # one argument, as it was given
        assert f"HF_TOKEN={SECRET}".encode() in environment
        assert not touched.exists()


async def test_invalid_settings_are_reported_and_not_saved(tmp_path: Path) -> None:
    async with exporter(command=FAKE, server={"autostart": False}, folder=tmp_path) as it:
        before = written(tmp_path)
        file = tmp_path / "exporter.yml"
        for section, message in (
            ({"prot": 1}, "server.prot: unknown key; did you mean server.port?"),
            ({"port": 70000}, "server.port: 70000 is not a port"),
            ({"args": "one"}, "server.args: expected a list, found 'one'"),
            ({"restart": {"policy": "sometimes"}}, "'sometimes' is not one of: always, on-failure, never"),
            ({"restart": 1}, "server.restart: must be a mapping of settings"),
            ({"args": ["-m", "<hidden>"]}, "<hidden> stands for the current secret"),
            ({"env": [1]}, "server.env: expected a mapping"),
        ):
            status, answer = await put(it, section)
            assert (status, message in answer["detail"]) == (400, True), answer
        assert (await put(it, ["not a section"]))[0] == 400
        assert file.read_text() == before
        assert os.listdir(tmp_path) == ["exporter.yml"]  # noqa: PTH208 -- iterdir() counts as blocking here


@pytest.mark.parametrize(
    "section",
    [
        {"binary": "/bin/sh"},
        {"command": ["/bin/sh", "-c", "id"]},
        {"cwd": "/tmp"},  # noqa: S108
        {"api_key_file": "/etc/passwd"},
        {"attach": "http://127.0.0.1:1"},
        {"env": {"LD_PRELOAD": "/tmp/x.so"}},  # noqa: S108
        {"env": {"HF_TOKEN": SECRET, "GGML_BACKEND_PATH": "x"}},
    ],
    ids=str,
)
async def test_the_api_cannot_change_which_program_runs(section: dict[str, Any], tmp_path: Path) -> None:
    async with exporter(command=FAKE, server={"autostart": False}, folder=tmp_path) as it:
        before = written(tmp_path)
        await reloaded(it)
        assert (await put(it, section))[0] == 403
        assert (tmp_path / "exporter.yml").read_text() == before


async def test_llama_servers_own_variables_can_be_changed(tmp_path: Path) -> None:
    async with exporter(command=FAKE, server={"autostart": False}, folder=tmp_path) as it:
        written(tmp_path)
        await reloaded(it)
        section = section_of(await config(it))
        section["env"] = {"HF_TOKEN": "<hidden>", "LLAMA_ARG_CTX_SIZE": "512"}
        assert (await put(it, section))[0] == 200
        assert f"env: {{HF_TOKEN: {SECRET}, LLAMA_ARG_CTX_SIZE: '512'}}" in (tmp_path / "exporter.yml").read_text()


async def test_a_flag_that_overrides_a_saved_key_is_named(tmp_path: Path) -> None:
    arguments = ("--", "--say", "by flag")
    async with exporter(*arguments, command=FAKE, server={"autostart": False}, folder=tmp_path) as it:
        status, answer = await put(it, {**section_of(await config(it)), "args": ["--say", "by file"]})
        assert (status, answer["changed"], answer["overridden"]) == (200, [], {"server.args": "flag"})


async def test_a_file_with_aliases_is_not_changed(tmp_path: Path) -> None:
    async with exporter(command=FAKE, server={"autostart": False}, folder=tmp_path) as it:
        file = tmp_path / "exporter.yml"
        text = f"logs: &shared {{}}\nserver:\n  autostart: false\n  env: *shared\n  command: [{', '.join(FAKE)}]\n"
        file.write_text(text)
        status, answer = await put(it, {"env": {"LLAMA_ARG_THREADS": "1"}, "autostart": False})
        assert (status, f"edit {file} by hand" in answer["detail"]) == (409, True)
        assert file.read_text() == text


async def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    async with exporter(command=FAKE, server={"autostart": False}, folder=folder) as it:
        (folder / "exporter.yml").unlink()
        folder.rmdir()
        status, answer = await put(it, {"port": 1})
        assert (status, "cannot be read: No such file" in answer["detail"]) == (400, True)


async def test_nothing_can_be_saved_without_a_file(tmp_path: Path) -> None:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "exporter", "--web.listen-address", f"127.0.0.1:{port}"),
        env={**os.environ, "PYTHONPATH": str(ROOT), "LLAMA_EXPORTER_SERVER__AUTOSTART": "false"},
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        assert b"serving on" in await process.stdout.readline()
        async with (
            aiohttp.ClientSession() as client,
            client.put(f"http://127.0.0.1:{port}/api/v1/config/server", json={}) as response,
        ):
            assert response.status == 409
            assert "was started without --config.file" in (await response.json(content_type=None))["detail"]
        async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}/api/v1/config") as response:
            assert (await response.json())["file"] is None
    finally:
        process.terminate()
        await process.communicate()


async def test_a_check_saves_nothing_and_saved_values_are_shown_until_a_reload(tmp_path: Path) -> None:
    async with exporter(command=FAKE, server={"autostart": False}, folder=tmp_path) as it:
        file = tmp_path / "exporter.yml"
        before = file.read_bytes()
        section = section_of(await config(it))
        url = f"{it.url}/api/v1/config/server?check"
        async with it.session.put(f"{url}=true", json={**section, "stop_timeout": "9s"}) as response:
            answer = await response.json()
            assert (response.status, answer["changed"], answer["restart"]) == (200, ["server.stop_timeout"], "none")
        for change, restart in (
            ({"autostart": True}, "exporter"),
            ({"autostart": True, "args": ["-c", "1"]}, "llama-server"),
        ):
            async with it.session.put(f"{url}=true", json={**section, **change}) as response:
                answer = await response.json()
                assert (set(answer["changed"]), answer["restart"]) == ({f"server.{key}" for key in change}, restart)
        async with it.session.put(f"{url}=true", json={**section, "port": 0}) as response:
            assert response.status == 400
        async with it.session.put(f"{url}=maybe", json=section) as response:
            assert response.status == 400
        assert file.read_bytes() == before
        assert (await put(it, {**section, "stop_timeout": "9s"}))[0] == 200
        shown = (await config(it))["settings"]
        assert (shown["server.stop_timeout"]["value"], shown["server.stop_timeout"]["saved"]) == (40.0, 9.0)
        assert [key for key, setting in shown.items() if "saved" in setting] == ["server.stop_timeout"]
        assert shown["server.restart.policy"]["choices"] == ["always", "on-failure", "never"]
        assert (shown["server.stop_timeout"]["unit"], shown["logs.buffer"]["unit"]) == ("seconds", "bytes")
        async with it.session.post(f"{it.url}/-/reload") as response:
            assert response.status == 200
        assert not [key for key, setting in (await config(it))["settings"].items() if "saved" in setting]
        file.write_text("server: {prot: 1}")
        assert "server.prot" in (await config(it))["errors"]
