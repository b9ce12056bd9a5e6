"""TLS and passwords by `web.config`, over real sockets with real certificates."""

import asyncio
import base64
import os
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import msgspec
import pytest
import trustme

from tests.integration.program import ROOT, Program, exporter
from tests.support import FAKE, eventually

PASSWORD = "a password of the tests"  # noqa: S105
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
TLS = {"cert_file": "cert.pem", "key_file": "key.pem"}


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


class Locked:
    """A running exporter behind TLS, and clients of it."""

    def __init__(self, program: Program, authority: trustme.CA) -> None:
        self.program = program
        self.url = program.url.replace("http:", "https:")
        self.authority = authority

    def context(self, *, certificate: trustme.LeafCert | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        if certificate is not None:
            certificate.configure_cert(context)
        return context

    async def get(self, path: str, context: ssl.SSLContext | None = None, **options: Any) -> int:
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"{self.url}{path}", ssl=context or self.context(), **options) as response,
        ):
            return response.status


def write_certificate(folder: Path, authority: trustme.CA) -> trustme.LeafCert:
    """A certificate for 127.0.0.1 in the files that `TLS` names; the certificate is written last."""
    leaf = authority.issue_cert("127.0.0.1")
    leaf.private_key_pem.write_to_path(folder / "key.pem")
    leaf.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    return leaf


@asynccontextmanager
async def locked(folder: Path, **web_config: Any) -> AsyncIterator[Locked]:
    authority = trustme.CA()
    write_certificate(folder, authority)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    (folder / "web.yml").write_bytes(msgspec.yaml.encode({"tls_server_config": TLS, **web_config}))
    file = str(folder / "web.yml")
    async with exporter("--web.config.file", file, command=FAKE, server={"autostart": False}, folder=folder) as it:
        yield Locked(it, authority)


async def test_tls_from_the_lowest_version_on(tmp_path: Path) -> None:
    async with locked(tmp_path, tls_server_config={**TLS, "min_version": "TLS13"}) as it:
        assert await it.get("/metrics") == 200
        old = it.context()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(aiohttp.ClientConnectionError):
            await it.get("/metrics", old)
        with pytest.raises(aiohttp.ClientConnectionError):
            await it.program.get("/metrics")
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await it.get("/metrics", ssl.create_default_context())


async def test_clients_without_a_certificate_of_ours_stay_out(tmp_path: Path) -> None:
    tls = {**TLS, "client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "ca.pem"}
    async with locked(tmp_path, tls_server_config=tls) as it:
        with pytest.raises(aiohttp.ClientError):
            await it.get("/metrics")
        with pytest.raises(aiohttp.ClientError):
            await it.get("/metrics", it.context(certificate=trustme.CA().issue_cert("prometheus")))
        assert await it.get("/metrics", it.context(certificate=it.authority.issue_cert("prometheus"))) == 200


async def test_a_replaced_certificate_is_served_without_a_new_start(tmp_path: Path) -> None:
    async with locked(tmp_path) as it, aiohttp.ClientSession() as before:
        context = it.context()
        async with before.get(f"{it.url}/-/healthy", ssl=context) as response:
            assert response.status == 200
        (tmp_path / "cert.pem").write_text("not a certificate")
        await eventually(lambda: [line for line in it.program.lines if "what was before stays" in line["message"]])
        assert await it.get("/-/healthy") == 200
        it.authority = trustme.CA()
        write_certificate(tmp_path, it.authority)
        await eventually(lambda: [line for line in it.program.lines if "read again" in line["message"]])
        assert await it.get("/-/healthy") == 200
        async with before.get(f"{it.url}/-/healthy", ssl=context) as response:  # the connection of before goes on
            assert response.status == 200


async def test_nobody_is_refused_while_certificates_change(tmp_path: Path) -> None:
    async with locked(tmp_path) as it:

        async def knock() -> int:
            count = 0
            while len([line for line in it.program.lines if "read again" in line["message"]]) < 2:
                assert await it.get("/-/healthy") == 200
                count += 1
            return count

        knocking = asyncio.create_task(knock())
        for number in (1, 2):
            write_certificate(tmp_path, it.authority)
            await eventually(
                lambda n=number: len([line for line in it.program.lines if "read again" in line["message"]]) >= n  # type: ignore[misc]
            )
        assert await knocking > 10


async def test_a_password_is_needed_for_everything(tmp_path: Path) -> None:
    async with locked(tmp_path, basic_auth_users={"prometheus": HASH}) as it:
        right = basic("prometheus", PASSWORD)
        for path in ("/", "/metrics", "/-/healthy", "/-/ready", "/api/v1/status", "/nowhere"):
            assert await it.get(path) == 401
        assert await it.get("/metrics", headers=right) == 200
        assert await it.get("/metrics", headers=basic("prometheus", "wrong")) == 401
        assert await it.get("/metrics", headers=basic("nobody", PASSWORD)) == 401
        assert await it.get("/metrics", headers=basic("nobody", "")) == 401
        # Guessing from the same address is slowed, and keeps nobody out who was let in before.
        assert await it.get("/metrics", headers=basic("prometheus", "wrong again")) == 429
        assert await it.get("/metrics", headers=right) == 200
        await it.program.end()
        assert not [line for line in it.program.raw if PASSWORD.encode() in line or b"wrong again" in line]


async def test_a_changed_password_counts_without_a_new_start(tmp_path: Path) -> None:
    async with locked(tmp_path, basic_auth_users={"prometheus": HASH}) as it:
        old, new = (basic("prometheus", password) for password in (PASSWORD, "another"))
        assert await it.get("/metrics", headers=old) == 200
        hashed = bcrypt.hashpw(b"another", bcrypt.gensalt(4)).decode()
        config = {"tls_server_config": TLS, "basic_auth_users": {"prometheus": hashed}}
        (tmp_path / "web.yml").write_bytes(msgspec.yaml.encode(config))
        await eventually(lambda: [line for line in it.program.lines if "read again" in line["message"]])
        assert await it.get("/metrics", headers=new) == 200
        assert await it.get("/metrics", headers=old) == 401


async def test_the_control_token_opens_where_passwords_do_and_cookies_are_secure(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t" * 32)
    authority = trustme.CA()
    write_certificate(tmp_path, authority)
    headers = {"Strict-Transport-Security": "max-age=1000", "X-Frame-Options": "SAMEORIGIN"}
    web_config = {
        "tls_server_config": TLS,
        "basic_auth_users": {"prometheus": HASH},
        "http_server_config": {"headers": headers},
    }
    (tmp_path / "web.yml").write_bytes(msgspec.yaml.encode(web_config))
    config = {"web": {"config_file": "web.yml", "control_token_file": "token"}}
    async with exporter(command=FAKE, server={"autostart": False}, config=config, folder=tmp_path) as program:
        it = Locked(program, authority)
        bearer = {"Authorization": f"Bearer {'t' * 32}"}
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=it.context())) as client:
            async with client.post(f"{it.url}/api/v1/server/start", headers=bearer) as response:
                assert response.status == 202
                assert response.headers["Strict-Transport-Security"] == "max-age=1000"
                assert response.headers["X-Frame-Options"] == "SAMEORIGIN"
            user = basic("prometheus", PASSWORD)
            async with client.post(f"{it.url}/api/v1/server/stop", headers=user) as response:
                assert response.status == 401
            async with client.post(f"{it.url}/api/v1/login", headers=user, json={"token": "t" * 32}) as response:
                assert response.status == 204
                assert "Secure" in response.headers["Set-Cookie"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "web.yml: cannot be read: No such file or directory"),
        ("basic_auth_users: {a: b}", "web.yml:1: basic_auth_users: the value of user 'a' is not a bcrypt hash"),
        ("tls_server_config: {cert_file: none.pem, key_file: none.pem}", "none.pem cannot be used: No such file"),
        ("tls_server_config: {cert_file: cert.pem, key_file: other.pem}", "other.pem cannot be used: "),
        ("tls_server_config: {cert_file: cert.pem, key_file: locked.pem}", "locked.pem cannot be used: "),
    ],
)
async def test_a_web_config_that_is_of_no_use_ends_the_start(content: str | None, message: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    write_certificate(tmp_path, authority)
    authority.issue_cert("127.0.0.1").private_key_pem.write_to_path(tmp_path / "other.pem")
    openssl = ("openssl", "genrsa", "-aes128", "-passout", "pass:secret", "-out", str(tmp_path / "locked.pem"), "2048")
    process = await asyncio.create_subprocess_exec(*openssl, stderr=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0
    if content is not None:
        (tmp_path / "web.yml").write_text(content)
    config = {"web": {"config_file": "web.yml"}}
    async with exporter(command=FAKE, config=config, folder=tmp_path, wait=False) as it:
        assert await it.process.wait() == 2
        said = (await eventually(lambda: it.stderr)).decode()
        assert message in said
        assert "Traceback" not in said


async def test_check_config_looks_into_the_web_config(tmp_path: Path) -> None:
    (tmp_path / "web.yml").write_text("basic_auth_user: {}\n")
    (tmp_path / "exporter.yml").write_text("web: {config_file: web.yml}\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "exporter", "check-config", str(tmp_path / "exporter.yml")),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    _, said = await process.communicate()
    assert process.returncode == 2
    assert b"did you mean basic_auth_users?" in said
