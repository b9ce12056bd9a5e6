import asyncio
from pathlib import Path

import bcrypt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.config import ConfigErrors
from exporter.web.auth.passwords import REMEMBERED, BasicAuth, parse_basic_auth
from exporter.web.auth.web_config import KINDS, WebConfig, read_web_config

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
GOOD = f"""
tls_server_config:
  cert_file: tls/cert.pem
  key_file: /etc/key.pem
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
  min_version: TLS13
http_server_config:
  http2: true
  headers: {{X-Frame-Options: SAMEORIGIN}}
basic_auth_users:
  prometheus: {HASH}
"""


def test_a_good_file(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(GOOD)
    config = read_web_config(file)
    assert config.tls is not None
    assert config.tls.paths == (tmp_path / "tls/cert.pem", Path("/etc/key.pem"), tmp_path / "ca.pem")
    assert (config.tls.client_auth, config.tls.min_version) == ("RequireAndVerifyClientCert", "TLS13")
    assert (config.headers, config.users) == ({"X-Frame-Options": "SAMEORIGIN"}, {"prometheus": HASH})


@pytest.mark.parametrize("text", ["", "{}", "basic_auth_users:\n", "http_server_config: {}\n"])
def test_an_empty_file_locks_nothing(text: str, tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(text)
    assert read_web_config(file) == WebConfig()


TLS = "tls_server_config: {cert_file: c, key_file: k, "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("basic_auth_user: {a: b}", ":1: basic_auth_user: unknown key; did you mean basic_auth_users?"),
        (
            "tls_server_config:\n  cert_file: c\n  key_fil: k\n  key_file: k",
            ":3: tls_server_config.key_fil: unknown key; did you mean tls_server_config.key_file?",
        ),
        ("tls_server_config: {cert_file: c}", "tls_server_config.key_file: is needed for TLS"),
        ("tls_server_config: {}", "tls_server_config.cert_file: is needed for TLS"),
        (TLS + "min_version: TLS10}", "'TLS10' is not one of: TLS12, TLS13"),
        (TLS + "client_auth_type: RequireAnyClientCert}", "is not one of: NoClientCert, VerifyClientCertIfGiven, "),
        (TLS + "client_auth_type: RequireAndVerifyClientCert}", "client_ca_file: is needed to verify"),
        (TLS + "client_ca_file: ca}", "client_auth_type: has to be RequireAndVerifyClientCert"),
        (TLS + "cipher_suites: [x]}", "this server does not have it: remove it"),
        (TLS + "cert: inline}", "is read from a file only: use tls_server_config.cert_file"),
        ("http_server_config: {headers: {X-Frame-Option: DENY}}", "'X-Frame-Option' is none of: Content-Security"),
        ('http_server_config: {headers: {X-Frame-Options: "a\\nb"}}', "has characters that a header can't have"),
        ("- a", "the top level must be a mapping of sections: http_server_config, tls_server_config"),
        ("basic_auth_users: [a]", ":1: basic_auth_users: expected a mapping, found a list"),
        ("tls_server_config: 5", ":1: tls_server_config: must be a mapping of settings"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(text)
    with pytest.raises(ConfigErrors) as caught:
        read_web_config(file)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(file))


def test_a_password_in_place_of_its_hash_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text("basic_auth_users: {prometheus: hunter2}\n")
    with pytest.raises(ConfigErrors, match="htpasswd") as caught:
        read_web_config(file)
    assert "hunter2" not in str(caught.value)


def outcome(file: Path) -> WebConfig | str:
    """The configuration, or what is wrong with it; any other exception fails the test."""
    try:
        return read_web_config(file)
    except ConfigErrors as errors:
        return str(errors)


TEXTS = st.text("ab:{}[]-&*!|>'\"#%@ \n", max_size=20)
TREES = st.dictionaries(
    st.sampled_from(sorted(KINDS)), st.one_of(TEXTS, st.integers(), st.lists(TEXTS), st.dictionaries(TEXTS, TEXTS))
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=100), TREES))
def test_random_files_load_or_say_what_is_wrong(tmp_path: Path, content: bytes | dict[str, object]) -> None:
    file = tmp_path / "random.yml"
    if isinstance(content, dict):
        lines = (f"{key.replace('.', ': {')}: {value!r}{'}' * key.count('.')}" for key, value in content.items())
        content = "\n".join(lines).encode()
    file.write_bytes(content)
    assert outcome(file)


async def test_passwords() -> None:
    passwords = BasicAuth({"prometheus": HASH})
    assert not passwords.remembers("prometheus", "secret")
    assert await passwords.check("prometheus", "secret")
    assert passwords.remembers("prometheus", "secret")
    for user, password in (("prometheus", "wrong"), ("nobody", "secret"), ("prometheus", "secret\0"), ("", "")):
        assert not await passwords.check(user, password)
        assert not passwords.remembers(user, password)
    passwords.users = {"prometheus": bcrypt.hashpw(b"other", bcrypt.gensalt(4)).decode()}
    assert not passwords.remembers("prometheus", "secret")
    assert not await passwords.check("prometheus", "secret")
    passwords.users = {}
    assert not passwords.remembers("prometheus", "secret")


async def test_a_long_password_counts_as_bcrypt_reads_it() -> None:
    """Only its first 72 bytes, as every program that wrote such a hash has read it."""
    hashed = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    assert await BasicAuth({"a": hashed}).check("a", "x" * 100)


async def test_what_is_remembered_is_bounded() -> None:
    names = [f"user{number}" for number in range(REMEMBERED + 1)]
    passwords = BasicAuth(dict.fromkeys(names, HASH))
    await asyncio.gather(*(passwords.check(name, "secret") for name in names))
    assert sum(passwords.remembers(name, "secret") for name in names) == REMEMBERED


async def test_the_prefix_that_htpasswd_writes_is_understood(tmp_path: Path) -> None:
    hashed = HASH.replace("$2b$", "$2y$")
    file = tmp_path / "web.yml"
    file.write_text(f"basic_auth_users: {{a: {hashed}}}\n")
    assert await BasicAuth(read_web_config(file).users).check("a", "secret")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Basic YTpiOmM=", ("a", "b:c")),
        ("basic YTo=", ("a", "")),
        ("Basic YQ==", None),
        ("Basic ???", None),
        ("Basic /w==", None),
        ("Bearer YTpi", None),
        ("", None),
    ],
)
def test_basic_auth_headers(header: str, expected: tuple[str, str] | None) -> None:
    assert parse_basic_auth(header) == expected
