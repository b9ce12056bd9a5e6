"""Every LogQL query of the dashboards, parsed by the grammar that Grafana itself uses."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.dashboards import boards, fill, panels
from tests.live.programs import program

FOLDER = Path(__file__).parents[2] / ".cache" / "logql"
GRAMMAR = ("@grafana/lezer-logql@0.4.2", "@lezer/lr@1.4.10")
PARSE = """
import { parser } from "@grafana/lezer-logql";
import { readFileSync } from "node:fs";
const errors = (query) => {
  const found = [];
  parser.parse(query).iterate({ enter: (node) => { if (node.type.isError) found.push(query.slice(node.from)); } });
  return found;
};
process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf-8")).map(errors)));
"""


@pytest.fixture(scope="module")
def node() -> str:
    """Node, with the grammar installed beside the checkout's other caches."""
    npm = program("npm")
    if not (FOLDER / "node_modules" / "@grafana").is_dir():
        FOLDER.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--no-save", "--no-package-lock", "--silent", "--prefix", str(FOLDER), *GRAMMAR]
        subprocess.run(command, check=True)
    found = shutil.which("node")
    assert found
    return found


def errors(node: str, queries: list[str]) -> list[list[str]]:
    """For each query what follows from each place where the grammar has an error."""
    done = subprocess.run(
        [node, "--input-type=module", "-e", PARSE],
        cwd=FOLDER,
        input=json.dumps(queries),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[list[str]] = json.loads(done.stdout)
    return found


def test_every_query_of_the_log_is_logql(node: str) -> None:
    every = boards()
    queries = [
        fill(query["expr"], every[panel.board]) for panel in panels() if not panel.metrics for query in panel.queries
    ]
    assert len(queries) > 5
    assert {query: found for query, found in zip(queries, errors(node, queries), strict=True) if found} == {}


def test_an_error_is_found(node: str) -> None:
    assert all(errors(node, ['{a="b"} | json |', 'sum by (x) count_over_time({a="b"}[1m])', '{a="b"} | x > ']))
