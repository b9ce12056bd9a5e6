"""The systemd unit and the pages on deployment, held against the files and programs that they name."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from exporter import cli
from exporter.config import Config, load
from exporter.config.values import duration
from exporter.metrics.definitions import usage
from tests.deploy import OVERRIDES, ROOT

UNIT = ROOT / "deploy" / "systemd" / "llama-exporter.service"
OFFERED = re.compile(r"^#(?=\w+=)", re.MULTILINE)
"""What marks a setting that is there to be chosen."""
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
PAGES = ("docs/compose.md", "docs/install.md", "docs/scaling.md", "deploy/kubernetes/README.md")


def page(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze on PATH")
@pytest.mark.parametrize("choices", ["off", "on"])
def test_systemd_understands_the_unit(tmp_path: Path, choices: str) -> None:
    """With a program that exists here in the place of the installed one, and with what it offers in comments."""
    text = UNIT.read_text()
    if choices == "on":
        text = OFFERED.sub("", text)
    program = shutil.which("true")
    text = re.sub(r"(?<=^ExecStart=)\S+", str(program), text, flags=re.MULTILINE)
    copy = tmp_path / UNIT.name
    copy.write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert (done.returncode, said) == (0, [])


def test_the_token_of_the_unit_is_the_file_of_the_page() -> None:
    offered = [line[1:].partition("=") for line in UNIT.read_text().splitlines() if OFFERED.match(line)]
    credential, environment = (value for _, _, value in offered)
    name, _, file = credential.partition(":")
    setting, _, path = environment.partition("=")
    assert load(None, {setting: path}, {}).config.start.web.control_token_file == f"%d/{name}", (
        "%d: the service's credentials"
    )
    assert f"> {file})\n" in page("docs/install.md")


def test_the_unit_starts_the_program_that_the_page_installs() -> None:
    setting = dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE))
    program, *arguments = setting["ExecStart"].split()
    assert Path(program).name in SCRIPTS
    assert f"python3 -m venv {Path(program).parents[1]}\n" in page("docs/install.md")
    options = cli.parser().parse_args(["run", *arguments])
    assert f"exporter.yml {options.config_file} " in page("docs/install.md")
    assert duration(setting["TimeoutStopSec"]) >= Config().live.server.stop_timeout + 10
    assert f"/var/cache/{setting['CacheDirectory']}`" in page("docs/install.md")


def test_the_configuration_of_the_page_on_installing_is_good(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", page("docs/install.md"), re.DOTALL)
    file = tmp_path / "exporter.yml"
    file.write_text(block)
    server = load(file, {}, {}).config.live.server
    assert server.args == ("-m", "/srv/models/model.gguf", "-c", "8192")
    assert server.binary.startswith("/")


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_links_to_exists(name: str) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page(name))
    assert links
    for link in links:
        if "://" not in link:
            assert ((ROOT / name).parent / link).exists(), link


def test_the_page_on_compose_names_every_override_and_no_other() -> None:
    text = page("docs/compose.md")
    assert set(re.findall(r"compose\.\w+\.yml", text)) == set(OVERRIDES)


def test_the_variables_that_pages_name_are_explained() -> None:
    explained = set(re.findall(r"^#?([A-Z_]+)=", page(".env.example"), re.MULTILINE))
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`", page("docs/compose.md")))
    assert named - {"COMPOSE_FILE"} <= explained  # COMPOSE_FILE is Compose's own


def test_the_metrics_that_the_page_on_scaling_drops_exist() -> None:
    text = page("docs/scaling.md")
    (pattern,) = re.findall(r"regex: (llama_\S+)", text)
    histograms = [metric.name for metric in vars(usage).values() if getattr(metric, "kind", "") == "histogram"]
    assert [name for name in histograms if re.fullmatch(pattern, f"{name}_bucket")] == [
        "llama_request_prompt_tokens",
        "llama_request_generation_tokens",
    ]
