"""docker-compose.yml and its overrides: what Compose makes of them, and how each service is confined."""

import itertools
import json
import os
import re
import shutil
import subprocess
from typing import Any

import pytest

from exporter.config import Config, load
from exporter.config.values import duration
from tests.deploy import BASE, OVERRIDES, ROOT, SERVICES

HARDWARE = (None, "compose.cpu.yml", "compose.rocm.yml", "compose.vulkan.yml")
MODES = (None, "compose.router.yml", "compose.attach.yml")
COMBINATIONS = [(BASE, *filter(None, pair)) for pair in itertools.product(HARDWARE, MODES)]
REQUIRED = {"GRAFANA_PASSWORD": "correct-horse", "RENDER_GID": "992"}


def compose_command() -> list[str] | None:
    """Docker Compose on PATH: the program of its own, else the plugin of docker."""
    if program := shutil.which("docker-compose"):
        return [program]
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0:
        return [docker, "compose"]
    return None


COMPOSE = compose_command()
with_compose = pytest.mark.skipif(COMPOSE is None, reason="needs docker-compose on PATH: .ci/run builds it")


def compose(files: tuple[str, ...], env: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    assert COMPOSE is not None
    chosen = [option for file in files for option in ("-f", file)]
    path = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        [*COMPOSE, "--env-file", os.devnull, *chosen, *command],
        cwd=ROOT,
        env=path | env,
        capture_output=True,
        text=True,
        check=False,
    )


def merged(files: tuple[str, ...], **env: str) -> dict[str, Any]:
    """What Compose makes of the files, which it has checked against the Compose specification."""
    done = compose(files, REQUIRED | env, "config", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "a warning of Compose is a fault here"
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@with_compose
@pytest.mark.parametrize("files", COMBINATIONS, ids="+".join)
def test_every_combination_is_a_good_compose_file(files: tuple[str, ...]) -> None:
    config = merged(files)
    assert config["name"] == "llama"
    exporter = config["services"]["exporter"]
    gpu = "compose.cpu.yml" not in files
    nvidia = not any(name in files for name in HARDWARE[1:])
    assert ("deploy" in exporter) == nvidia
    assert ("devices" in exporter) == (gpu and not nvidia)
    variant = {"compose.cpu.yml": "server", "compose.rocm.yml": "server-rocm", "compose.vulkan.yml": "server-vulkan"}
    tag = next((variant[file] for file in files if file in variant), "server-cuda")
    assert exporter["build"]["args"] == {"LLAMA_CPP_TAG": tag}
    assert exporter["image"] == f"llama-server-exporter:{tag}"
    environment = {key: value for key, value in exporter["environment"].items() if value is not None}
    loaded = load(None, environment, {}).config
    assert (loaded.start.server.attach is not None) == ("compose.attach.yml" in files)
    assert ("LLAMA_ARG_MODELS_DIR" in environment) == ("compose.router.yml" in files)


@with_compose
def test_only_grafana_and_llama_server_are_published_beyond_this_machine() -> None:
    published = {
        (name, port["target"], port.get("host_ip"), port["published"])
        for name, service in merged((BASE,))["services"].items()
        for port in service.get("ports", [])
    }
    assert published == {
        ("grafana", 3000, None, "3000"),
        ("exporter", 8080, None, "8080"),
        ("exporter", 9842, "127.0.0.1", "9842"),
    }


@with_compose
def test_a_watched_server_keeps_its_port() -> None:
    ports = merged((BASE, "compose.attach.yml"))["services"]["exporter"]["ports"]
    assert [port["target"] for port in ports] == [9842]


@with_compose
@pytest.mark.parametrize("missing", sorted(REQUIRED))
def test_a_required_variable_that_is_missing_says_so(missing: str) -> None:
    env = {name: value for name, value in REQUIRED.items() if name != missing}
    done = compose((BASE, "compose.rocm.yml"), env, "config")
    assert done.returncode != 0
    assert missing in done.stderr
    assert "set it in .env" in done.stderr


@with_compose
def test_the_model_of_the_environment_reaches_llama_server_and_the_router_drops_it() -> None:
    chosen = {"LLAMA_ARG_MODEL": "/models/a.gguf", "LLAMA_ARG_CTX_SIZE": "4096"}
    environment = merged((BASE,), **chosen)["services"]["exporter"]["environment"]
    assert chosen.items() <= environment.items()
    assert environment["LLAMA_ARG_HF_REPO"] is None, "an empty one would be taken for a model"
    router = merged((BASE, "compose.router.yml"), **chosen)["services"]["exporter"]["environment"]
    assert "LLAMA_ARG_MODEL" not in router


@with_compose
def test_the_password_is_in_no_environment() -> None:
    services = json.dumps(merged((BASE,))["services"])
    assert REQUIRED["GRAFANA_PASSWORD"] not in services


def test_every_override_is_among_the_combinations() -> None:
    assert set(OVERRIDES) == set(filter(None, (*HARDWARE, *MODES)))


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_is_confined_and_watched(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"]["max-size"]
    if name == "exporter":  # the Dockerfile's health check; memory is the model's affair
        assert "HEALTHCHECK" in (ROOT / "Dockerfile").read_text()
    else:
        assert service["healthcheck"]["test"][0] == "CMD", "images without a shell have no CMD-SHELL"
        assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+\.\d+", service["image"]), "a pinned version"
        limits = service["deploy"]["resources"]["limits"]
        assert limits["memory"]
        assert limits["cpus"]
    assert service.get("read_only", False) == (name != "grafana")


def test_the_grace_periods_are_longer_than_the_drain() -> None:
    exporter = SERVICES["exporter"]
    drain = duration(exporter["environment"]["LLAMA_EXPORTER_SERVER__STOP_TIMEOUT"])
    assert drain == Config().live.server.stop_timeout
    assert duration(exporter["stop_grace_period"]) >= drain + 10
