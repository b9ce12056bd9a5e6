"""What Prometheus' own parser and linter say of our pages. Needs promtool on PATH; `.ci/run` puts it there."""

import json
import subprocess
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.demo.model import write_tiny_model
from exporter.exposition import TEXT, render
from exporter.llama.exposition import read, with_model
from tests.integration.program import EMBEDDED, exporter

REMARKS = 3
"""promtool's exit code for a page that it can read and would rather see otherwise."""


def check(page: bytes) -> tuple[int, str]:
    command = ["promtool", "check", "metrics"]
    done = subprocess.run(command, input=page, capture_output=True, check=False)
    return done.returncode, done.stderr.decode()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b_total", "c:d"]),
            st.text(max_size=20).filter(lambda text: not set(text) & set("\r\n")),
            st.floats(),
        ),
        max_size=8,
        unique_by=lambda sample: sample[:2],
    )
)
def test_whatever_comes_in_what_goes_out_is_readable(samples: list[tuple[str, str, float]]) -> None:
    text = "".join(f"{name}{{l={json.dumps(label, ensure_ascii=False)}}} {value}\n" for name, label, value in samples)
    code, error = check(render(with_model(read(text)[0], "m"), TEXT))
    assert code in (0, REMARKS), error


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
