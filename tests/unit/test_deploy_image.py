"""The Dockerfile and the locks, held against the program that they pack."""

import os
import re
import tomllib
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import exporter
from exporter.config import Config, load
from tests.deploy import SERVICES, mounts

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def locked(name: str) -> dict[str, str]:
    """Package and version of a lock, each with its hashes."""
    pins: dict[str, str] = {}
    for entry in re.split(r"\n(?=\S)", (ROOT / "deploy" / name).read_text().replace("\\\n", " ")):
        if entry.startswith("#") or not entry.strip():
            continue
        pin, *hashes = entry.split("--hash=")
        assert hashes, pin
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", value.strip()) for value in hashes), pin
        package, version = pin.split(";")[0].strip().split("==")
        pins[canonicalize_name(package)] = version
    return pins


def image_environment() -> dict[str, str]:
    """What the final stage sets."""
    final = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    return dict(re.findall(r"(?:ENV|\s)\s*([A-Z_]+)=(\S+)", "\n".join(re.findall(r"^ENV .*$", final, re.MULTILINE))))


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.txt", PROJECT["project"]["dependencies"]),
        ("requirements-build.txt", PROJECT["build-system"]["requires"]),
    ],
)
def test_the_lock_satisfies_the_project(lock: str, wanted: list[str]) -> None:
    pins = locked(lock)
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), f"{requirement}: make lock"


def test_the_lock_is_complete() -> None:
    """What a locked package needs is locked too: pip's --require-hashes would refuse the rest."""
    pins = locked("requirements.txt")
    for package in set(pins) - {"colorama", "win32-setctime"}:
        for needed in map(Requirement, metadata.requires(package) or []):
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                assert canonicalize_name(needed.name) in pins, f"{package} needs {needed}: make lock"


def test_what_the_dockerfile_copies_exists_and_is_in_the_build_context() -> None:
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert {"exporter", "pyproject.toml", "deploy/requirements.txt"} <= set(copied)
    for source in copied:
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source, pattern) for pattern in let_in), source
    assert set(let_in) == set(copied), "the build context holds what nobody copies"


def test_the_files_that_the_wheel_is_made_of_are_copied() -> None:
    project = PROJECT["project"]
    for needed in (
        project["readme"],
        *project["license-files"],
        *PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"],
    ):
        assert re.search(rf"^COPY .*\b{re.escape(needed)}\b", DOCKERFILE, re.MULTILINE), needed


def test_the_environment_of_the_image_is_good_configuration() -> None:
    config = load(None, image_environment(), {}).config
    assert config.live.server.binary == "/app/llama-server"
    assert config.live.server.host == "0.0.0.0"  # noqa: S104 -- inside the container's own network
    port = Config().start.web.listen_address.rpartition(":")[2]
    assert config.start.web.listen_address == f"0.0.0.0:{port}"
    assert f"EXPOSE {Config().live.server.port} {port}" in DOCKERFILE
    assert f"http://127.0.0.1:{port}/-/healthy" in DOCKERFILE


def test_the_image_has_what_compose_starts_and_the_folder_that_it_keeps() -> None:
    (folder,) = [target for target, volume in mounts(SERVICES["exporter"]).items() if volume == "exporter-state"]
    script, kept, program = SERVICES["exporter"]["entrypoint"]
    assert os.access(ROOT / "deploy" / script, os.X_OK)
    assert f"\nCOPY deploy/{script} /usr/local/bin/\n" in DOCKERFILE, "on PATH"
    assert f'ENTRYPOINT ["{program}"]' in DOCKERFILE
    assert re.search(rf"install --directory --owner=llama --group=llama --mode=700 {folder}\n", DOCKERFILE)
    token = SERVICES["exporter"]["environment"]["LLAMA_EXPORTER_WEB__CONTROL_TOKEN_FILE"]
    assert (kept, token) == (folder, f"{folder}/control.token")
    for page in ("docs/compose.md", ".env.example"):
        assert f"docker compose exec exporter cat {token}\n" in (ROOT / page).read_text()


def test_the_image_says_which_version_it_holds() -> None:
    assert re.findall(r"^ARG VERSION=(.*)$", DOCKERFILE, re.MULTILINE) == [exporter.__version__]


def test_the_image_starts_the_program_of_the_project_as_nobody_special() -> None:
    (program,) = PROJECT["project"]["scripts"]
    assert f'ENTRYPOINT ["{program}"]' in DOCKERFILE
    assert DOCKERFILE.rindex("USER 10001:10001") > DOCKERFILE.rindex("RUN ")
