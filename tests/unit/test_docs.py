import re
from pathlib import Path

from exporter.config import Config, load
from exporter.supervisor.states import EDGES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def test_the_configuration_of_the_readme_is_the_defaults(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    file = tmp_path / "readme.yml"
    file.write_text(block)
    loaded = load(file, {}, {})
    assert loaded.config == Config()
    named = {key for key, origin in loaded.origins.items() if origin == "file"}
    # null and the alternative to binary are written and come to nothing
    assert set(loaded.origins) - named == {"server.cwd", "server.api_key_file", "server.attach", "server.command"}


def test_the_targets_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z]+)", README)) <= targets


def test_the_drawn_states_are_the_table() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    drawn = set(re.findall(r"^    (\w+) --> (\w+)$", text, re.MULTILINE))
    assert drawn == {(str(before), str(after)) for before, afters in EDGES.items() for after in afters}
