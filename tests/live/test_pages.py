"""What Prometheus' own parser and linter say of our pages. Needs promtool on PATH; `.ci/run` puts it there."""

import subprocess
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.demo.model import write_tiny_model
from exporter.llama.api import UpstreamError
from exporter.llama.native import read
from exporter.metrics.collectors.native import merge, with_model
from exporter.metrics.exposition import OPENMETRICS, TEXT, render
from tests.integration.program import EMBEDDED, exporter
from tests.native_pages import PAGES

REMARKS = 3
"""promtool's exit code for a page that it can read and would rather see otherwise."""


def check(page: bytes) -> tuple[int, str]:
    command = ["promtool", "check", "metrics"]
    done = subprocess.run(command, input=page, capture_output=True, check=False)
    return done.returncode, done.stderr.decode()


def check_openmetrics(page: bytes, folder: Path) -> tuple[int, str]:
    """What Prometheus' parser of OpenMetrics says; the only command that has it wants a time with every sample."""
    lines = [line if line.startswith("#") else f"{line} 1.5" for line in page.decode().split("\n")[:-1]]
    (folder / "page").write_text("\n".join(lines) + "\n")
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--quiet", str(folder / "page"), str(folder)]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.returncode, done.stderr.decode()


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from("mn"), PAGES, min_size=1))
def test_whatever_comes_in_what_goes_out_is_readable(texts: dict[str, str]) -> None:
    try:
        families = merge({model: with_model(read(page.encode()), model) for model, page in texts.items()})
    except UpstreamError:
        return
    code, error = check(render(families, TEXT))
    assert code in (0, REMARKS), error
    with tempfile.TemporaryDirectory() as folder:
        assert check_openmetrics(render(families, OPENMETRICS), Path(folder)) == (0, "")


def test_a_page_that_cannot_be_read_is_found_out(tmp_path: Path) -> None:
    assert check(b"a{ 1\n")[0] not in (0, REMARKS)
    assert check_openmetrics(b"a{ 1\n# EOF\n", tmp_path)[0] != 0


async def test_our_own_families_are_without_fault(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "tiny.gguf")
    options = {"args": ["-m", str(model), "-c", "2048", "--alias", "tiny"]}
    async with exporter(command=EMBEDDED, server=options, folder=tmp_path) as it:
        await it.until("ready")
        await it.complete(5)
        page = (await it.get("/metrics"))[1]
    own = "".join(line + "\n" for line in page.splitlines() if "llamacpp:" not in line)
    assert "llama_generation_tokens_total" in own
    assert check(own.encode()) == (0, "")
