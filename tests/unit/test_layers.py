"""The layers of docs/architecture.md: a module imports what is in its own layer or below, and nothing above."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
LAYERS = (
    ("tasks",),
    ("logs",),
    ("llama", "usage"),
    ("config",),
    ("supervisor",),
    ("metrics.families", "metrics.definitions"),
    ("gpu",),
    ("metrics",),
    ("reload",),
    ("web",),
    ("announce",),
    ("parts",),
    ("app",),
    ("demo",),
    ("cli",),
    ("__main__",),
)
"""From the lowest to the highest."""


def layer_of(module: str) -> int:
    """The layer of the longest name that the module begins with."""
    inner = module.removeprefix("exporter.")
    found = {
        name: number
        for number, names in enumerate(LAYERS)
        for name in names
        if inner == name or inner.startswith(f"{name}.")
    }
    assert found, f"{module} is in no layer"
    return found[max(found, key=len)]


def imports() -> list[tuple[str, str]]:
    """Every import of one module of the exporter by another."""
    found = []
    for file in sorted((ROOT / "exporter").rglob("*.py")):
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if name == "exporter":
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("exporter."):
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    is_module = (ROOT / Path(*inner.split("."))).with_suffix(".py").exists()
                    found.append((name, inner if is_module else node.module or ""))
    return found


def test_no_module_imports_what_is_above_it() -> None:
    assert len(imports()) > 300
    assert [pair for pair in imports() if layer_of(pair[1]) > layer_of(pair[0])] == []


def test_only_the_poller_and_its_parts_ask_llama_server() -> None:
    clients = {importer for importer, imported in imports() if imported == "exporter.llama.client"}
    assert {name for name in clients if not name.startswith("exporter.llama.")} == {"exporter.parts"}


def test_only_the_supervisor_touches_processes() -> None:
    calls = ("create_subprocess_exec", "os.killpg", "os.kill(", "subprocess.")
    touching = {
        file.relative_to(ROOT / "exporter").parts[0]
        for file in (ROOT / "exporter").rglob("*.py")
        if any(call in file.read_text("utf-8") for call in calls)
    }
    assert touching == {"supervisor"}


def test_cancellation_is_never_lost() -> None:
    """In Python 3.11 `asyncio.wait_for` loses a cancellation that comes with the result: `asyncio.timeout` does not."""
    files = (ROOT / "exporter").rglob("*.py")
    assert [file.name for file in files if "wait_for(" in file.read_text("utf-8")] == []


def test_a_name_means_one_thing() -> None:
    classes = [
        node.name
        for file in (ROOT / "exporter").rglob("*.py")
        for node in ast.parse(file.read_text("utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert sorted({name for name in classes if classes.count(name) > 1}) == []
