"""Write the dashboards, or check that those in the repository are what this code makes."""

import argparse
import json
import sys
from pathlib import Path

from grafana.boards import BOARDS
from grafana.queries import Json

FOLDER = Path(__file__).parent / "dashboards"


def text(board: Json) -> str:
    """The file's content: sorted keys, so that a difference is a difference."""
    return json.dumps(board, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def stale(folder: Path = FOLDER) -> list[str]:
    """Names of files that are missing, left over or not what the code makes."""
    found = {file.name: file.read_text("utf-8") for file in folder.glob("*.json")}
    wanted = {f"{name}.json": text(board) for name, board in BOARDS.items()}
    return sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))


def main() -> int:
    """Write, or with `--check` only compare: 1 when something is stale."""
    parser = argparse.ArgumentParser(prog="python -m grafana", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a file is stale")
    check = parser.parse_args().check
    names = stale()
    if check:
        if names:
            sys.stderr.write(f"stale dashboards: {', '.join(names)}. Run `make dashboards` and commit the result.\n")
        return 1 if names else 0
    for name in names:
        (FOLDER / name).unlink(missing_ok=True)
    for name, board in BOARDS.items():
        (FOLDER / f"{name}.json").write_text(text(board), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
