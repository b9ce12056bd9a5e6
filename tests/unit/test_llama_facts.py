import os
from pathlib import Path

import pytest

from exporter.demo.model import write_tiny_model
from exporter.llama.facts import architecture


def test_the_architecture_of_a_real_file(tmp_path: Path) -> None:
    assert architecture(write_tiny_model(tmp_path / "tiny.gguf")) == "llama"


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF" + b"\0" * 200, b"PK" * 200, b"\xff" * 300])
def test_other_files_name_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    assert architecture(tmp_path / "file") is None
    assert architecture(tmp_path / "missing") is None
    assert architecture(tmp_path) is None


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert architecture(tmp_path / "fifo") is None
    assert architecture(Path("a\0b")) is None
